"""What a client or a cache has already, and what changes it (RFC 9111, 4.3 and 4.4; RFC 9110, 13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.client import get
from tests.gateway.conftest import certificate as certificate  # noqa: PLC0414 - a fixture
from tests.gateway.h2client import H2Client
from tests.gateway.world import World, route
from tests.plugins.cache.corpus.play import Theatre
from tests.plugins.cache.corpus.table import NEW, STORED, Case, Step, case, checked, new, stored
from tests.plugins.proxy.upstream import Heard, Service

pytestmark = pytest.mark.integration
FRESH = "max-age=3600"
OLD = {"said": "max-age=60", "age": "99"}


def has(tag: str, asked: str, status: int) -> Case:
    content = "" if status == 304 else None
    step = stored(asks={"if-none-match": asked}, status=status, content=content, has={"etag": tag})
    return case("4.3.2", f"{tag}, {asked}", new(FRESH, etag=tag), step)


def since(modified: int, asked: int | str, status: int) -> Case:
    step = stored(asks={"if-modified-since": asked}, status=status)
    return case("4.3.2", f"changed {modified}, has {asked}", new(FRESH, last_modified=modified), step)


CLIENTS = [
    has('"a"', '"a"', 304),
    has('"a"', 'W/"a"', 304),
    has('W/"a"', 'W/"a"', 304),
    has('W/"a"', '"a"', 304),
    has('"a"', '"a", "b", "c"', 304),
    has('"a"', '"b", "a", "c"', 304),
    has('"a"', '"b", "c", "a"', 304),
    has('"a, b"', '"a, b"', 304),
    has('"a"', "*", 304),
    has('"a"', '"b"', 200),
    has('"a"', '"A"', 200),
    has('"a"', "a", 200),
    since(-9000, -9000, 304),
    since(-9000, -8000, 304),
    since(-9000, -9500, 200),
    since(-9000, "lately", 200),
    case("4.3.2", "without a date of change, that of the answer", new(FRESH, date=-600),
         stored(asks={"if-modified-since": -600}, status=304), stored(asks={"if-modified-since": -900})),
    case("9110, 13.2.2", "the tag goes before the date", new(FRESH, etag='"a"', last_modified=-9000),
         stored(asks={"if-none-match": '"b"', "if-modified-since": -9000}),
         stored(asks={"if-none-match": '"a"', "if-modified-since": -99999}, status=304)),
    case("9110, 15.4.5", "a 304 says what a cache needs", new(FRESH, etag='"a"', vary="X", content_type="text/x"),
         stored(asks={"if-none-match": '"a"'}, status=304, lacks=("content-type", "content-length"),
                has={"etag": '"a"', "vary": "X", "cache-control": FRESH})),
    case("4.3.2", "an error is not what a client has", new(FRESH, says=404, etag='"a"'),
         stored(asks={"if-none-match": '"a"'}, status=404)),
    case("4.3.1", "where nothing is here, the origin knows", new(FRESH, etag='"a"', asks={"if-none-match": '"b"'},
         told={"if-none-match": '"b"'}), STORED),
    case("4.3.1", "what is the origin's alone goes to it", new(FRESH), new(asks={"if-match": '"x"'}, says=412)),
    case("4.3.1", "and is about its state", new(FRESH), new(asks={"if-unmodified-since": -900}, says=412)),
]  # fmt: skip
CACHES = [
    case("4.3.1", "a tag", new(etag='"a"', **OLD), checked(told={"if-none-match": '"a"', "if-modified-since": None})),
    case("4.3.1", "a weak tag", new(etag='W/"a"', **OLD), checked(told={"if-none-match": 'W/"a"'})),
    case("4.3.1", "a date", new(last_modified="Wed, 01 Jan 2020 00:00:00 GMT", **OLD),
         checked(told={"if-modified-since": "Wed, 01 Jan 2020 00:00:00 GMT", "if-none-match": None})),
    case("4.3.1", "its own, and not the client's", new(etag='"a"', **OLD),
         checked(asks={"if-none-match": '"b"'}, told={"if-none-match": '"a"'})),
    case("4.3.1", "and then the client's", new(etag='"a"', **OLD), checked(asks={"if-none-match": '"a"'}, status=304)),
    case("4.3.3", "another answer takes its place", new(etag='"a"', **OLD), new(FRESH, etag='"b"'), stored(of=2)),
    case("4.3.3", "an error goes on, and what is here stays", new(etag='"a"', **OLD), new(says=500), checked(of=1)),
    case("4.3.3", "nothing to check by", new(**OLD), new(FRESH), STORED),
]  # fmt: skip


def updated(name: str, before: str, after: str, *, then: str | None = None) -> Case:
    """A field is another one after a 304 that says so: at once, and in what is stored."""
    first = {"said": "max-age=60", "age": "99", "etag": '"a"'}
    shown = {name: after if then is None else then}
    key = name.replace("-", "_")
    return case(
        "4.3.4", name, new(**{**first, key: before}), checked(FRESH, **{key: after}, has=shown), stored(has=shown, of=1)
    )


FRESHENED = [
    updated("x-own", "1", "2"),
    updated("content-x", "1", "2"),
    updated("content-security-policy", "default-src 'self'", "default-src 'none'"),
    updated("content-type", "text/plain", "text/x"),
    updated("content-location", "/1", "/2"),
    updated("x-frame-options", "deny", "sameorigin"),
    updated("expires", "Wed, 18 Aug 2072 02:01:18 GMT", "Thu, 19 Aug 2072 02:01:18 GMT"),
    # Of what is stored, and not of the 304, which has no content.
    updated("content-length", "8", "10", then="8"),
    case("3.2", "what is not said stays", new(etag='"a"', x_own="1", **OLD), checked(FRESH, has={"x-own": "1"}),
         stored(has={"x-own": "1", "etag": '"a"'}, of=1, aged=0)),
    case("3.2", "and what is new is added", new(etag='"a"', **OLD), checked(FRESH, x_own="1"),
         stored(has={"x-own": "1"}, of=1)),
    case("4.3.4", "it is as fresh as is said then", new(etag='"a"', **OLD), checked("max-age=60", age="99"),
         checked(of=1)),
    case("4.3.4", "and not stored, if that is said", new(etag='"a"', **OLD), checked("no-store"), NEW),
    case("4.3.4", "a cookie of a 304 is one person's", new(etag='"a"', **OLD), checked(FRESH, set_cookie="a=b"), NEW),
]  # fmt: skip
HEADS = [
    case(
        "4",
        "from what was got",
        new(FRESH, body="12345"),
        stored(method="HEAD", has={"content-length": "5"}, content=""),
    ),
    case("9110, 9.3.2", "is passed on", new(method="HEAD", has={"content-length": "8"}), new(FRESH), STORED),
    case("4.3.5", "and nothing is kept of it", new(FRESH, method="HEAD"), NEW),
    case("4.3.5", "what is stale stays so", new(etag='"a"', **OLD), new(FRESH, method="HEAD"), checked(of=1)),
]


def change(what: str, *steps: Step) -> Case:
    return case("4.4", what, *steps)


def moved(method: str, **where: str) -> tuple[Step, Step, Step]:
    """A change at one path whose answer names another one."""
    return new(FRESH, path="/b"), new(method=method, path="/a", **where), new(path="/b")


CHANGES = [
    *(
        change(f"after {method}", new(FRESH), new(method=method, says=says), new(FRESH), STORED)
        for method in ("POST", "PUT", "PATCH", "DELETE", "M-SEARCH")
        for says in (200, 201, 204, 303)
    ),
    *(
        change(f"not after a failed {method}", new(FRESH), new(method=method, says=says), stored(of=1))
        for method in ("POST", "DELETE")
        for says in (400, 404, 500)
    ),
    *(
        change(f"not after {method}", new(FRESH), new(method=method), stored(of=1))
        for method in ("OPTIONS", "PROPFIND", "REPORT", "QUERY")
    ),
    *(
        change(f"{name} of a {method}: {where}", *moved(method, **{name: where}))
        for name in ("location", "content_location")
        for method in ("POST", "PUT", "DELETE")
        for where in ("{here}/b", "b", "http://localhost{here}/b")
    ),
    change("not another host's", new(FRESH, path="/b"), new(method="POST", path="/a", location="http://other{here}/b"),
           stored(path="/b", of=1)),
    change("each variant", new(FRESH, vary="X", asks={"x": "1"}), new(method="POST"), new(asks={"x": "1"})),
    change("what answers a change is not kept", new(FRESH, method="POST", content_location="{here}"), NEW),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("it", CLIENTS + CACHES + FRESHENED + HEADS + CHANGES, ids=str)
async def test_validation(theatre: Theatre, it: Case) -> None:
    await theatre.play(it)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_fresh_grows_old(theatre: Theatre) -> None:
    """The one that waits: for the clock, and not for so many seconds."""
    theatre.played += 1
    here = f"/plain/{theatre.played}"
    theatre.origin.playing[here] = 1, new("max-age=2")
    ages = []
    async with asyncio.timeout(30):
        while len(theatre.origin.heard(here)) < 2:
            answer = await get(theatre.world.port, here)
            if "hit" in answer.headers["cache-status"]:
                ages.append(int(answer.headers["age"]))
            await asyncio.sleep(0.05)
    assert ages == sorted(ages)
    assert all(age <= 2 for age in ages)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    it = await Service().start()
    yield it
    await it.stop()


async def test_hints_come_before_an_answer_and_are_not_stored(
    world: World, service: Service, certificate: tuple[Path, Path]
) -> None:
    """RFC 9110, 15.2; RFC 8297."""

    async def talk(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nx-early: 1\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: 2\r\n\r\nok")

    service.talk = talk
    cert, key = certificate
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}}
    await world.start([route("/**", "proxy", upstreams=[service.url], chain=["cache"])], tls=tls)
    client = await H2Client.connect(world.port, cert)
    try:
        first, again = client.request("/"), 0
        assert await client.answer(first) == (200, b"ok")
        again = client.request("/")
        assert await client.answer(again) == (200, b"ok")
    finally:
        await client.close()
    assert client.interim == {first: [[(":status", "103"), ("link", "</a>"), ("x-early", "1")]]}
    assert "hit" in client.heads[again]["cache-status"]
    assert "x-early" not in client.heads[first]
    assert len(service.heard) == 1

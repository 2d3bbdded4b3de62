"""Clients that show certificates: the handshake lets in whom it should, and the chain hears whose it was."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.gateway.authority import Authority
from tests.gateway.client import Answer, Client, Viewer
from tests.gateway.h2client import H2Client
from tests.gateway.h3client import H3Client
from tests.gateway.world import BOTH, World, route, until
from vidops.errors import PermanentError
from vidops.gateway.peer import rfc4514

SERVERS = BOTH

RULES = [{"roles": ["operators"]}]
CHAIN = [
    {"type": "client_certificate", "options": {"roles": {"door*": ["operators"]}}},
    {"type": "authorize", "options": {"allow": RULES}},
    {"type": "headers", "options": {"response": {"set": {"X-Who": "{user}", "X-Subject": "{certificate}"}}}},
]
ROUTES = [route("/", "respond", body="anybody"), route("/in", "respond", body="in", chain=CHAIN)]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"), "theirs")


def tls(authority: Authority, folder: Path, **more: Any) -> dict[str, Any]:
    certfile, keyfile = authority.issue(folder, CN="localhost")
    return {"certfile": str(certfile), "keyfile": {"file": str(keyfile)}, "client_ca": str(authority.file), **more}


async def ask(world: World, path: str, context: ssl.SSLContext, headers: str = "") -> Answer:
    async with await Client.connect(world.port, context) as client:
        return await client.get(path, headers=headers)


async def test_only_who_shows_a_good_certificate_gets_in(
    world: World, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    await world.start(ROUTES, tls=tls(ours, tmp_path))
    good = await ask(world, "/", ours.client(ours.issue(tmp_path, CN="door")))
    assert (good.status, good.body) == (200, b"anybody")
    for bad in (None, theirs.issue(tmp_path, CN="door"), ours.issue(tmp_path, CN="door", days=-1)):
        # TLS 1.3: a client learns of the refusal as it reads.
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await ask(world, "/", ours.client(bad))


async def test_the_certificate_says_who_asks(world: World, ours: Authority, tmp_path: Path) -> None:
    await world.start(ROUTES, tls=tls(ours, tmp_path))
    door = ours.client(ours.issue(tmp_path, O="Example, Inc.", CN="door-1"))
    answer = await ask(world, "/in", door, "X-Who: root\r\n")
    assert answer.status == 200
    assert answer.headers["x-who"] == "door-1"
    assert answer.headers["x-subject"] == "CN=door-1,O=Example\\, Inc."
    assert (await ask(world, "/in", ours.client(ours.issue(tmp_path, CN="yard")))).status == 403


async def test_an_optional_certificate_is_asked_for_by_the_chain(
    world: World, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    await world.start(ROUTES, tls=tls(ours, tmp_path, client_auth="optional"))
    assert (await ask(world, "/", ours.client())).status == 200
    refused = await ask(world, "/in", ours.client())
    assert (refused.status, refused.json()["detail"]) == (403, "a client certificate is needed")
    assert (await ask(world, "/in", ours.client(ours.issue(tmp_path, CN="door")))).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        await ask(world, "/", ours.client(theirs.issue(tmp_path, CN="door")))


@pytest.mark.parametrize(
    ("kind", "alternatives", "expected"),
    [
        ("dns", [x509.DNSName("door.example")], (200, "door.example")),
        ("email", [x509.RFC822Name("a@example.org"), x509.DNSName("x.example")], (200, "a@example.org")),
        ("uri", [x509.UniformResourceIdentifier("spiffe://example/door")], (200, "spiffe://example/door")),
        ("subject", [], (200, "CN=door")),
        ("dns", [x509.DNSName("a.example"), x509.DNSName("b.example")], (403, "")),
        ("email", [x509.DNSName("a.example")], (403, "")),
    ],
)
async def test_which_name_counts(
    world: World, ours: Authority, *, kind: str, alternatives: list[Any], expected: tuple[int, str], tmp_path: Path
) -> None:
    chain = [{"type": "client_certificate", "options": {"name": kind}}, CHAIN[2]]
    await world.start([route("/in", "respond", chain=chain)], tls=tls(ours, tmp_path))
    pair = ours.issue(tmp_path, CN="door", alternatives=alternatives)
    answer = await ask(world, "/in", ours.client(pair))
    assert (answer.status, answer.headers.get("x-who", "")) == expected


async def test_another_authority_counts_from_the_next_connection_on(
    world: World, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(ours.file.read_bytes())
    await world.start(ROUTES, tls={**tls(ours, tmp_path), "client_ca": str(trusted)})
    before, after = (ours.client(one.issue(tmp_path, CN="door")) for one in (ours, theirs))
    assert (await ask(world, "/", before)).status == 200
    trusted.write_bytes(theirs.file.read_bytes())
    await world.gateway.load()
    assert (await ask(world, "/", after)).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        await ask(world, "/", before)
    trusted.write_text("no certificate")
    with pytest.raises(PermanentError, match=r"tls\.client_ca"):
        await world.gateway.load()
    assert (await ask(world, "/", after)).status == 200


@pytest.mark.parametrize("before", ["without TLS", "without certificates", "another authority"])
async def test_who_was_not_asked_for_a_certificate_is_served_nothing_more(
    world: World, ours: Authority, theirs: Authority, *, before: str, tmp_path: Path
) -> None:
    """An answer that is under way is given whole; then the connection ends, and an idle one at once."""
    size = 256 * 65536
    routes = [*ROUTES, route("/flood", "flood", size=size)]
    wanted = tls(ours, tmp_path)
    former = {**wanted, "client_ca": str(theirs.file)} if before == "another authority" else {**wanted}
    if before == "without certificates":
        del former["client_ca"]
    context = ours.client(theirs.issue(tmp_path, CN="door")) if before != "without TLS" else None
    await world.start(routes, **({"tls": former} if context else {}))
    idle, busy = [await Client.connect(world.port, context, limit=65536) for _ in range(2)]
    async with idle, busy:
        assert (await idle.get("/")).status == 200
        busy.send(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await busy.head()).status == 200
        await world.edit(routes, tls=wanted, drain_timeout=60.0)
        assert await idle.closed() == b""
        assert sum([len(chunk) async for chunk in busy.chunks()]) == size
        assert await busy.closed() == b"", "what it asked for next is not answered"
    door = ours.client(ours.issue(tmp_path, CN="door"))
    async with await Client.connect(world.port, door) as good:
        assert (await good.get("/")).status == 200
        await until(lambda: world.gateway.status()["connections"] == 1, "the others are gone")
        # Where the same is asked, whatever else changes, or nothing any more, who is there stays.
        nothing = {name: value for name, value in wanted.items() if name != "client_ca"}
        for now in (tls(ours, tmp_path), nothing):
            await world.edit(ROUTES, tls=now)
            assert (await good.get("/")).status == 200
        # Some may have come since who showed nothing.
        await world.edit(ROUTES, tls=wanted)
        assert await good.closed() == b""
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


async def test_who_was_in_a_handshake_without_is_served_nothing(world: World, ours: Authority, tmp_path: Path) -> None:
    """However long others who came before may stay."""
    wanted, routes = tls(ours, tmp_path), [*ROUTES, route("/stream/**", "stream")]
    await world.start(routes, tls={name: value for name, value in wanted.items() if name != "client_ca"})
    viewer = await Viewer.connect(world.port, ours.client())
    viewer.send(b"GET /stream/door HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: world.cameras.subscriptions, "it looks")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.client().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    for _ in range(20):
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await asyncio.wait_for(reader.read(65536), 10))
    await world.edit(routes, tls=wanted, drain_timeout=60.0)
    client.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    writer.write(outgoing.read())
    said: bytes | None = None
    while said is None:
        with contextlib.suppress(ssl.SSLWantReadError):
            said = client.read()
            continue
        incoming.write(await asyncio.wait_for(reader.read(65536), 10) or pytest.fail("no word of the end"))
    assert said == b""
    assert world.gateway.status()["requests"] == 1, "the stream's"
    assert world.cameras.subscriptions
    viewer.close()
    writer.close()


async def test_a_stream_of_who_was_not_asked_ends_when_its_time_is_up(
    world: World, ours: Authority, tmp_path: Path
) -> None:
    routes = [*ROUTES, route("/stream/**", "stream")]
    await world.start(routes)
    async with await Viewer.connect(world.port) as viewer:
        viewer.send(b"GET /stream/door HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: world.cameras.subscriptions, "it looks")
        await world.edit(routes, tls=tls(ours, tmp_path), drain_timeout=0.3)
        assert world.cameras.subscriptions, "it has a while"
        assert await viewer.closed() == b""
    await until(lambda: not world.cameras.subscriptions, "the camera is let go")
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


async def test_connections_of_other_protocols_end_in_order(world: World, ours: Authority, tmp_path: Path) -> None:
    wanted = tls(ours, tmp_path)
    former = {**wanted, "http3": True}
    del former["client_ca"]
    size = 64 * 65536
    routes = [*ROUTES, route("/flood", "flood", size=size)]
    await world.start(routes, tls=former)
    h2, h3 = await H2Client.connect(world.port, ours.file), await H3Client.to(world.port, ours.file)
    for client in (h2, h3):
        assert await client.answer(client.request("/")) == (200, b"anybody")
    busy = h3.request("/flood")
    await until(lambda: h3.bodies[busy], "its beginning")
    await world.edit(routes, tls=wanted, drain_timeout=60.0)
    await until(lambda: h3.went_away, "HTTP/3's word for it")
    status, body = await h3.answer(busy, 60)
    assert (status, len(body)) == (200, size)
    await until(lambda: h3.over, "the end of the connection")
    await until(lambda: world.gateway.status()["connections"] == 0, "HTTP/2's is gone, too")
    await h2.close()
    await h3.end()


async def test_without_tls_nobody_has_a_certificate(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        assert (await client.get("/in", headers="X-Client-Cert: CN=door\r\n")).status == 403


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ((), ""),
        (((("countryName", "CH"),), (("commonName", "a"),)), "CN=a,C=CH"),
        (((("commonName", "a"), ("userId", "7")),), "CN=a+UID=7"),
        (((("commonName", ' #"+,;<>\\'),),), 'CN=\\ #\\"\\+\\,\\;\\<\\>\\\\'),
        (((("commonName", "#a "),),), "CN=\\#a\\ "),
        (((("commonName", " "),),), "CN=\\ "),
        (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
    ],
)
def test_names_as_rfc_4514_writes_them(subject: Any, text: str) -> None:
    assert rfc4514(subject) == text

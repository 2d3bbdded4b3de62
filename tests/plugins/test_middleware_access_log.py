"""`access_log`: one line for each request, at its end, with nothing secret in it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.client import Client, Viewer, get
from tests.gateway.stage import Stage
from tests.gateway.world import JPEG, World, route, until
from vidops_plugins.middleware import journal
from vidops_plugins.middleware.access_log import redacted


def lines(world: World) -> list[dict[str, Any]]:
    return [record for record in world.log if record.get("event") == "request"]


async def test_a_line_says_who_asked_for_what_and_got_what(world: World) -> None:
    await world.start([route("/x/**", "respond", chain=["access_log"], body="hello", status=201)])
    await get(world.port, "/x/a%20b?q=1", method="POST", headers="User-Agent: tester/1.0\r\n", body=b"12345")
    (line,) = lines(world)
    wanted = {"method": "POST", "path": "/x/a%20b", "query": "q=1", "status": 201, "bytes": 5}
    wanted |= {"client": "127.0.0.1", "route": "/x/**", "user_agent": "tester/1.0"}
    assert {name: line[name] for name in wanted} == wanted
    assert 0 <= line["seconds"] < 5
    assert json.loads(json.dumps(line)) == line


async def test_each_request_of_a_connection_has_one(world: World) -> None:
    await world.start([route("/**", "respond", chain=["access_log"])])
    async with await Client.connect(world.port) as client:
        for n in range(3):
            await client.get(f"/{n}")
    assert [line["path"] for line in lines(world)] == ["/0", "/1", "/2"]


async def test_a_stream_is_written_at_its_end_with_all_its_bytes(world: World) -> None:
    await world.start([route("/stream/**", "stream", chain=["access_log"])])
    async with await Viewer.connect(world.port) as viewer:
        opening = asyncio.ensure_future(viewer.watch("/stream/door"))
        while not opening.done():
            world.cameras.feed("door")
            await asyncio.sleep(0.01)
        await opening
        for _ in range(3):
            await viewer.part()
            world.cameras.feed("door")
        assert lines(world) == []
    await until(lambda: lines(world), "the line of the stream")
    (line,) = lines(world)
    assert line["status"] == 200
    assert line["bytes"] > 3 * len(JPEG)


async def test_a_request_that_fails_has_its_line_too(world: World) -> None:
    await world.start([route("/", "fail", chain=["access_log"])])
    assert (await get(world.port, "/")).status == 500
    (line,) = lines(world)
    assert (line["end"], line["status"]) == ("error", 500)


async def test_a_body_that_is_refused_while_it_is_read_has_its_status(world: World) -> None:
    limits = {"type": "limits", "options": {"max_body": "1KiB"}}
    await world.start([route("/", "echo", chain=["access_log", limits])])
    async with await Client.connect(world.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + bytes(2048) + b"\r\n")
        assert (await client.answer()).status == 413
    assert lines(world)[0]["status"] == 413


async def test_a_client_that_leaves_is_told_from_one_that_was_answered(world: World, stage: Stage) -> None:
    await world.start([route("/", "hold", chain=["access_log"], name="it")])
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: "asked it" in stage.events, "the request")
    await until(lambda: lines(world), "the line of the request")
    assert lines(world)[0]["end"] == "cancelled"


@pytest.fixture
def journald(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """What journald's socket gets."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as it:
        it.bind(str(tmp_path / "journal"))
        it.settimeout(5)
        monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "journal"))
        yield it


JOURNAL = {"type": "access_log", "options": {"to": "journal"}}


async def test_the_journal_gets_fields(world: World, journald: socket.socket) -> None:
    await world.start([route("/**", "respond", chain=[JOURNAL], status=503)])
    await get(world.port, "/x?token=abc", headers="User-Agent: a tester\r\n")
    entry = journald.recv(65536).decode().splitlines()
    assert entry[1:3] == ["PRIORITY=4", "SYSLOG_IDENTIFIER=vidops-gateway"]
    assert entry[0].startswith("MESSAGE=GET /x 503 0.")
    assert {"VIDOPS_STATUS=503", "VIDOPS_ROUTE=/**", "VIDOPS_QUERY=token=***", "VIDOPS_USER_AGENT=a tester"} <= set(
        entry
    )
    assert lines(world) == []


@pytest.mark.parametrize("trouble", ["it is gone", "it is full"])
async def test_what_the_journal_does_not_take_is_in_the_log(
    world: World, journald: socket.socket, trouble: str
) -> None:
    if trouble == "it is gone":
        journald.close()
    await world.start([route("/**", "respond", chain=[JOURNAL])])
    async with await Client.connect(world.port) as client:
        for _ in range(1000):
            await client.get("/")
            if lines(world):
                break
    assert lines(world)[0]["status"] == 200


@given(st.text(max_size=300))
def test_a_value_cannot_make_another_field(value: str) -> None:
    data = journal._field("NAME", value)
    head, _, rest = data.partition(b"\n")
    if head == b"NAME":
        size = int.from_bytes(rest[:8], "little")
        assert (rest[8 : 8 + size].decode(errors="replace"), rest[8 + size :]) == (_said(value), b"\n")
    else:
        assert (head, rest) == (b"NAME=" + _said(value).encode(), b"")


def _said(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("token=abc", "token=***"),
        ("a=1&access_token=abc&b=2", "a=1&access_token=***&b=2"),
        ("X-Amz-Signature=abc", "X-Amz-Signature=***"),
        ("API_KEY=abc&apikey=def", "API_KEY=***&apikey=***"),
        ("password=a%26b", "password=***"),
        ("%74oken=abc", "%74oken=***"),
        ("action=stream", "action=stream"),
        ("t=1;secret=x", "t=1;secret=***"),
        ("return=/stream/door?access_token=S&n=1", "return=***&n=1"),
        ("next=%2Fstream%3Ftoken%3DS", "next=***"),
        ("u=%252Fx%253Fa%253D1%2526key%253DS", "u=***"),
        ("return=/stream/door?size=1", "return=/stream/door?size=1"),
        ("return=%2Fauth%2Fdoor%3Fsize%3D1", "return=%2Fauth%2Fdoor%3Fsize%3D1"),
        (
            "pwd=S&credential=S&bearer=S&ticket=S&assertion=S",
            "pwd=***&credential=***&bearer=***&ticket=***&assertion=***",
        ),
        ("", ""),
    ],
)
def test_what_looks_like_a_secret_is_not_written(query: str, written: str) -> None:
    assert redacted(query) == written


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "token", "x_key", "pass%77ord"]), st.from_regex(r"[A-Z0-9%.]{6,20}", fullmatch=True)
        )
    )
)
def test_no_value_of_a_secret_gets_through(fields: list[tuple[str, str]]) -> None:
    written = redacted("&".join(f"{name}={value}" for name, value in fields)).split("&")
    for (name, value), text in zip(fields, written, strict=False):
        assert text == (f"a={value}" if name == "a" else f"{name}=***")


async def test_more_names_can_be_named(world: World) -> None:
    await world.start([route("/", "respond", chain=[{"type": "access_log", "options": {"redact": ["who"]}}])])
    await get(world.port, "/?who=ann&n=1")
    assert lines(world)[0]["query"] == "who=***&n=1"


async def test_what_a_client_sends_cannot_break_a_line(world: World) -> None:
    await world.start([route("/", "respond", chain=["access_log"])])
    await get(world.port, "/", headers='User-Agent: "}\\ {"event":"forged"\r\n')
    await get(world.port, f"/?{'x' * 2000}", headers=f"User-Agent: {'y' * 5000}\r\n")
    first, second = lines(world)
    assert first["user_agent"] == '"}\\ {"event":"forged"'
    assert len(json.dumps(second)) < 2500

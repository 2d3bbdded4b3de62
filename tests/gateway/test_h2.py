"""HTTP/2 over TLS: requests beside one another on one connection, and streams that do not starve them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import h2.errors
import pytest

from tests.gateway.h2client import H2Client
from tests.gateway.plugins import Probe
from tests.gateway.world import BOTH, JPEG, World, route, until
from vidops.gateway import config, outflow
from vidops.gateway.h2 import MAX_RUNNING

SERVERS = BOTH

ROUTES = [
    route("/stream/**", "stream", chain=["access_log"]),
    route("/hi", "respond", body="hi"),
    route("/post", "respond", body="posted", methods=["POST"]),
    route("/upload", "upload"),
    route("/stays", "slow", seconds=30),
    route("/flood", "flood", size=24 << 20),
    route("/breaks", "raising", text="late"),
    route("/ws", "echo"),
    route("/stubborn", "stubborn"),
    route("/dropping", "dropping"),
]


@pytest.fixture
async def client(world: World, certificate: tuple[Path, Path]) -> AsyncIterator[H2Client]:
    cert, key = certificate
    await world.start(ROUTES, tls={"certfile": str(cert), "keyfile": {"file": str(key)}})
    it = await H2Client.connect(world.port, cert)
    yield it
    await it.close()


async def test_many_requests_on_one_connection(client: H2Client) -> None:
    streams = [client.request("/hi") for _ in range(50)]
    assert [await client.answer(stream) for stream in streams] == [(200, b"hi")] * 50
    assert not client.over


async def test_streams_beside_requests(world: World, client: H2Client) -> None:
    viewers = [client.request("/stream/door") for _ in range(3)]
    await until(lambda: world.cameras.subscriptions and world.cameras.subscriptions[0].viewers == 3, "three viewers")
    for _ in range(10):
        world.cameras.feed("door")
        await asyncio.sleep(0.01)
    await until(lambda: all(client.bodies[stream].count(JPEG) >= 2 for stream in viewers), "frames for all")
    head = client.heads[viewers[0]]
    assert head[":status"] == "200"
    assert head["content-type"].startswith("multipart/x-mixed-replace")
    assert "connection" not in head
    assert (await client.answer(client.request("/hi")))[1] == b"hi"
    for stream in viewers[1:]:
        client.connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    await until(lambda: world.cameras.subscriptions[0].viewers == 1, "one viewer left")
    before = client.bodies[viewers[0]].count(JPEG)
    world.cameras.feed("door")
    await until(lambda: client.bodies[viewers[0]].count(JPEG) > before, "the other goes on")


async def test_a_stream_that_nobody_takes_holds_up_no_request(world: World, client: H2Client) -> None:
    """Its flow control window is used up; those of others are not."""
    client.acknowledge = False
    client.connection.increment_flow_control_window(1 << 20)
    client.flush()
    viewer = client.request("/stream/door")
    await until(lambda: world.cameras.subscriptions, "a viewer")
    for _ in range(60):
        world.cameras.feed("door")
        await asyncio.sleep(0.005)
    await until(lambda: len(client.bodies[viewer]) > 60_000, "the window is used up")
    assert await client.answer(client.request("/hi")) == (200, b"hi")


async def test_the_guard_stands_before_http2_too(client: H2Client) -> None:
    for path in ("/a/%2e%2e/hi", "/a%2fb", "/hi%00", "/a/../hi"):
        status, body = await client.answer(client.request(path))
        assert status in (400, 404), path
        assert body != b"hi"
    assert (await client.answer(client.request("/none")))[0] == 404
    assert (await client.answer(client.request("/post")))[0] == 405


@pytest.mark.parametrize("method", ["GET /post HTTP/1.1", "GE\x01T", "", "G" * 5000])
async def test_a_method_is_a_word(client: H2Client, method: str) -> None:
    """It would become a part of the line that an upstream reads."""
    client.lax()
    assert (await client.answer(client.request("/hi", method=method)))[0] == 400
    assert await client.answer(client.request("/hi")) == (200, b"hi")


@pytest.mark.parametrize("finish", ["end", "reset", "never"])
async def test_an_answer_before_the_upload_ends_leaves_the_connection(client: H2Client, finish: str) -> None:
    stream = client.request("/post", method="POST", more=True, body=b"x" * 10_000)
    await until(lambda: stream in client.heads, "the answer")
    assert client.heads[stream][":status"] == "200"
    if finish == "end":
        client.connection.send_data(stream, b"x" * 6000, end_stream=True)
    elif finish == "reset":
        client.connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    assert await client.answer(client.request("/hi")) == (200, b"hi")
    if finish == "end":
        assert await client.answer(stream) == (200, b"posted")
    assert not client.over


async def test_a_route_that_leaves_ends_its_streams_in_good_order(
    world: World, client: H2Client, certificate: tuple[Path, Path]
) -> None:
    viewer = client.request("/stream/door")
    await until(lambda: world.cameras.subscriptions, "a viewer")
    world.cameras.feed("door")
    await until(lambda: client.bodies[viewer].count(JPEG), "a frame")
    cert, key = certificate
    await world.edit(ROUTES[1:], tls={"certfile": str(cert), "keyfile": {"file": str(key)}})
    await client.answer(viewer)
    assert viewer not in client.reset
    assert await client.answer(client.request("/hi")) == (200, b"hi")


async def test_a_request_that_comes_too_late_may_be_asked_of_another(
    world: World, certificate: tuple[Path, Path]
) -> None:
    """Beside an answer that the end waits for: it was not looked at, and is told so."""
    cert, key = certificate
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}}
    await world.start([*ROUTES, route("/slow", "slow", seconds=1.5)], tls=tls, drain_timeout=10.0)
    client = await H2Client.connect(world.port, cert)
    slow = client.request("/slow")
    await until(lambda: world.gateway.status()["requests"] == 1, "the request")
    ending = asyncio.create_task(world.gateway.close())
    while not client.reset:
        late = client.request("/hi")
        await until(lambda late=late: late in client.ended or late in client.reset, "an answer")  # type: ignore[misc]
    assert client.reset == {late: h2.errors.ErrorCodes.REFUSED_STREAM}
    assert (await client.answer(slow))[0] == 200
    await ending
    await client.close()


async def test_an_upload_that_goes_on_after_its_answer(client: H2Client) -> None:
    """What has no reader any more is no mistake of the connection's, and takes nothing from others."""
    other = client.request("/upload", method="POST", body=b"x", more=True)
    stream = client.request("/post", method="POST", body=b"", more=True)
    assert await client.answer(stream) == (200, b"posted")
    for _ in range(3):
        await client.send(stream, bytes(16_000))
        await asyncio.sleep(0.05)
    await until(lambda: stream in client.reset, "word that nobody reads")
    assert client.reset[stream] == h2.errors.ErrorCodes.NO_ERROR
    await client.send(other, bytes(100_000), end=True)
    assert await client.answer(other) == (200, b"100001")
    assert await client.answer(client.request("/hi")) == (200, b"hi")
    assert not client.over


async def pour(client: H2Client, stream: int, most: int) -> int:
    """Send a body as far as there is room, for half a second without any; how much that was."""
    sent, patience = 0, 25
    while patience and sent < most:
        room = min(client.connection.local_flow_control_window(stream), 16_384, most - sent)
        if room:
            client.connection.send_data(stream, bytes(room))
            client.flush()
            sent, patience = sent + room, 25
        else:
            patience -= 1
        await asyncio.sleep(0.02 if not room else 0)
    return sent


async def test_an_upload_that_nobody_reads_holds_up_no_other_request(client: H2Client) -> None:
    unread = [client.request("/stays", method="POST", body=b"", more=True) for _ in range(2)]
    for stream in unread:
        assert 65_535 <= await pour(client, stream, 1 << 20) < 200_000, "it is bounded, too"
    upload = client.request("/upload", method="POST", body=b"", more=True)
    assert await pour(client, upload, 1 << 20) == 1 << 20
    client.connection.end_stream(upload)
    client.flush()
    assert await client.answer(upload) == (200, b"%d" % (1 << 20))
    assert await client.answer(client.request("/hi")) == (200, b"hi")
    for stream in unread:
        client.connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    again = client.request("/upload", method="POST", body=b"", more=True)
    assert await pour(client, again, 1 << 20) == 1 << 20, "what waited for them is given back"
    client.connection.end_stream(again)
    client.flush()
    assert (await client.answer(again))[0] == 200
    assert client.connection.outbound_flow_control_window > 200_000


async def test_an_answer_that_breaks_off_is_told(client: H2Client) -> None:
    stream = client.request("/breaks")
    await until(lambda: stream in client.ended, "the end of the stream")
    assert client.reset[stream] == h2.errors.ErrorCodes.INTERNAL_ERROR
    assert await client.answer(client.request("/hi")) == (200, b"hi")


async def test_a_large_answer_waits_for_its_reader(client: H2Client, probe: Probe) -> None:
    client.acknowledge = False
    stream = client.request("/flood")
    await until(lambda: len(client.bodies[stream]) > 60_000, "a window of it")
    await asyncio.sleep(0.5)
    assert probe.sent < 1 << 20
    client.connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    await until(lambda: not probe.running, "the handler's end")


async def test_a_large_answer_arrives_whole(client: H2Client) -> None:
    status, body = await client.answer(client.request("/flood"))
    assert (status, len(body)) == (200, 24 << 20)


async def test_an_idle_connection_has_its_time_though_its_last_request_was_given_up(
    world: World, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "KEEP_ALIVE", 0.5)
    await world.start(ROUTES, tls={"certfile": str(certificate[0]), "keyfile": {"file": str(certificate[1])}})
    client = await H2Client.connect(world.port, certificate[0])
    client.connection.reset_stream(client.request("/stays"), h2.errors.ErrorCodes.CANCEL)
    client.flush()
    await until(lambda: client.over, "the end of the connection")
    await client.close()


async def test_opening_and_resetting(client: H2Client, probe: Probe) -> None:
    """Who gives up what it asked for leaves nothing behind, however often."""
    for _ in range(6):
        for _ in range(90):
            client.connection.reset_stream(client.request("/stays"), h2.errors.ErrorCodes.CANCEL)
        client.flush()
        assert await client.answer(client.request("/hi")) == (200, b"hi")
    assert probe.running == 0
    assert not client.over


async def test_requests_that_stay_though_they_are_reset(
    world: World, client: H2Client, certificate: tuple[Path, Path], probe: Probe
) -> None:
    try:
        for _ in range(MAX_RUNNING + 50):
            client.connection.reset_stream(client.request("/stubborn"), h2.errors.ErrorCodes.CANCEL)
        client.flush()
        await until(lambda: client.over, "the end of the connection", 5)
        assert client.code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
        assert probe.running <= MAX_RUNNING
    finally:
        probe.release.set()
    await until(lambda: probe.running == 0, "the requests' end")
    other = await H2Client.connect(world.port, certificate[0])
    assert await other.answer(other.request("/hi")) == (200, b"hi")
    await other.close()


async def test_a_request_that_is_dropped_takes_no_other_with_it(client: H2Client, probe: Probe) -> None:
    stream = client.request("/dropping")
    await until(lambda: stream in client.reset and probe.cancelled, "a reset, and its handler's knowledge")
    assert b"never" not in client.bodies[stream]
    assert await client.answer(client.request("/hi")) == (200, b"hi")


async def test_who_reads_one_answer_too_slowly_loses_that_one(
    client: H2Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outflow, "GRACE", 0.2)
    monkeypatch.setattr(outflow, "RATE", 1e9)
    client.acknowledge = False
    client.connection.increment_flow_control_window(1 << 20)
    stream = client.request("/flood")
    await until(lambda: stream in client.reset, "a reset")
    assert await client.answer(client.request("/hi")) == (200, b"hi")


WEBSOCKET = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/ws")]
V13 = ("sec-websocket-version", "13")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(":method", "GET"), (":scheme", "https"), (":path", "/h\xef")], 400),
        ([(":method", "CONNECT")], 400),
        ([(":method", "CONNECT"), (":protocol", "other"), *WEBSOCKET[2:], V13], 501),
        ([*WEBSOCKET, ("sec-websocket-version", "12")], 400),
        ([*WEBSOCKET, V13, ("sec-websocket-protocol", "\xff")], None),
    ],
)
async def test_a_head_that_is_none_takes_no_other_request_with_it(
    client: H2Client, fields: list[tuple[str, str]], status: int | None
) -> None:
    client.lax()
    stream = client.connection.get_next_available_stream_id()
    client.bodies[stream] = bytearray()
    head = [(n.encode(), v.encode("latin-1")) for n, v in [*fields[:4], (":authority", "localhost"), *fields[4:]]]
    client.connection.send_headers(stream, head)
    client.flush()
    await until(lambda: stream in client.ended, "an answer")
    assert (int(client.heads[stream][":status"]) if stream in client.heads else None) == status
    assert await client.answer(client.request("/hi")) == (200, b"hi")
    assert not client.over


async def test_host_in_the_place_of_an_authority(client: H2Client) -> None:
    stream = client.connection.get_next_available_stream_id()
    client.bodies[stream] = bytearray()
    head = [(":method", "GET"), (":scheme", "https"), (":path", "/hi"), ("host", "localhost")]
    client.connection.send_headers(stream, head, end_stream=True)
    client.flush()
    assert await client.answer(stream) == (200, b"hi")

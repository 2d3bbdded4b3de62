"""HTTP/3: the same gateway by QUIC, with a real client over loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from tests.gateway.h2client import H2Client
from tests.gateway.h3client import H3Client
from tests.gateway.plugins import Probe
from tests.gateway.world import JPEG, World, route, until
from vidops.gateway.h3 import QuicCall

ROUTES = [
    route("/stream/**", "stream", chain=["access_log"]),
    route("/hi", "respond", body="hi"),
    route("/post", "respond", body="posted", methods=["POST"]),
    route("/upload", "upload"),
    route("/seen/**", "seen"),
    route("/slow", "slow", seconds=30),
    route("/flood", "flood", size=24 << 20),
    route("/little", "flood", size=2 << 20),
    route("/breaks", "raising", text="late"),
    route("/fails", "raising", text="early"),
    route("/ws", "echo"),
    route("/stubborn", "stubborn"),
    route("/dropping", "dropping"),
    route("/hasty", "upload", chain=[{"type": "limits", "options": {"body_time": "300ms"}}]),
]
CANCELLED = 0x10C
INTERNAL_ERROR = 0x102


def tls(pair: tuple[Path, Path], **more: Any) -> dict[str, Any]:
    return {"certfile": str(pair[0]), "keyfile": {"file": str(pair[1])}, "http3": True, **more}


@pytest.fixture
async def client(world: World, certificate: tuple[Path, Path]) -> AsyncIterator[H3Client]:
    await world.start(ROUTES, tls=tls(certificate))
    it = await H3Client.to(world.port, certificate[0])
    yield it
    await it.end()


async def test_a_request(world: World, client: H3Client) -> None:
    stream = client.request("/hi")
    assert await client.answer(stream) == (200, b"hi")
    assert client.field(stream, "content-length") == "2"
    assert client.field(stream, "date")
    assert b"alt-svc" not in dict(client.heads[stream])
    assert world.gateway.status()["connections"] == 1


async def test_head_has_no_body(client: H3Client) -> None:
    stream = client.request("/hi", method="HEAD")
    assert await client.answer(stream) == (200, b"")
    assert client.field(stream, "content-length") == "2"


async def test_what_a_handler_is_told(world: World, client: H3Client) -> None:
    status, body = await client.get("/seen/a%20b?c=d", ("x-a", "1"), ("x_b", "2"))
    told = json.loads(body)
    assert status == 200
    assert (told["http_version"], told["scheme"], told["path"]) == ("3", "https", "/seen/a b")
    assert told["server"] == ["127.0.0.1", world.port]
    assert told["client"][0] == "127.0.0.1"
    assert told["headers"] == [["host", "localhost"], ["x-a", "1"]]
    extension = told["extensions"]["tls"]
    assert extension["tls_version"] == 0x0304
    assert extension["cipher_suite"].startswith("TLS_AES_")
    assert extension["client_cert_name"] is None


async def test_many_requests_beside_one_another(client: H3Client) -> None:
    streams = [client.request("/hi") for _ in range(300)]
    assert [await client.answer(stream) for stream in streams] == [(200, b"hi")] * 300
    assert not client.over


async def test_a_slow_request_holds_up_no_other(client: H3Client, probe: Probe) -> None:
    client.request("/slow", method="POST", body=bytes(200_000), more=True)
    await until(lambda: probe.running, "the slow one")
    assert await client.get("/hi") == (200, b"hi")


async def test_a_body(client: H3Client) -> None:
    assert await client.get("/upload", method="POST", body=b"x" * 3_000_000) == (200, b"3000000")
    assert await client.get("/post", method="POST", body=b"x") == (200, b"posted")


async def test_a_body_of_more_than_the_limit(client: H3Client) -> None:
    stream = client.request("/upload", ("content-length", "20000000"), method="POST", body=b"x", more=True)
    await until(lambda: stream in client.heads, "the answer")
    assert client.status(stream) == 413


@pytest.mark.parametrize("finish", ["end", "reset", "never"])
async def test_an_answer_before_the_upload_ends_leaves_the_connection(client: H3Client, finish: str) -> None:
    stream = client.request("/post", method="POST", more=True, body=b"x" * 10_000)
    await until(lambda: stream in client.heads, "the answer")
    assert client.status(stream) == 200
    if finish == "end":
        client.http.send_data(stream, b"x" * 6000, end_stream=True)
    elif finish == "reset":
        client.quic.reset_stream(stream, CANCELLED)
    client.transmit()
    assert await client.get("/hi") == (200, b"hi")
    if finish != "reset":
        assert await client.answer(stream) == (200, b"posted")
    assert not client.over


async def test_a_stream(world: World, client: H3Client) -> None:
    viewers = [client.request("/stream/door") for _ in range(3)]
    await until(lambda: world.cameras.subscriptions and world.cameras.subscriptions[0].viewers == 3, "three viewers")
    for _ in range(10):
        world.cameras.feed("door")
        await asyncio.sleep(0.01)
    await until(lambda: all(client.bodies[stream].count(JPEG) >= 2 for stream in viewers), "frames for all")
    assert client.field(viewers[0], "content-type").startswith("multipart/x-mixed-replace")
    assert await client.get("/hi") == (200, b"hi")
    client.quic.stop_stream(viewers[1], CANCELLED)
    client.quic.stop_stream(viewers[2], CANCELLED)
    client.transmit()
    await until(lambda: world.cameras.subscriptions[0].viewers == 1, "one viewer left")
    before = client.bodies[viewers[0]].count(JPEG)
    world.cameras.feed("door")
    await until(lambda: client.bodies[viewers[0]].count(JPEG) > before, "the other goes on")


async def test_a_route_that_leaves_ends_its_streams_in_good_order(
    world: World, client: H3Client, certificate: tuple[Path, Path]
) -> None:
    viewer = client.request("/stream/door")
    await until(lambda: world.cameras.subscriptions, "a viewer")
    world.cameras.feed("door")
    await until(lambda: client.bodies[viewer].count(JPEG), "a frame")
    await world.edit(ROUTES[1:], tls=tls(certificate))
    await client.answer(viewer)
    assert viewer not in client.reset
    assert await client.get("/hi") == (200, b"hi")


async def test_the_guard_stands_before_http3_too(client: H3Client) -> None:
    for path in ("/a/%2e%2e/hi", "/a%2fb", "/hi%00", "/a/../hi", "//hi", "hi", "*", "/h\x7fi", "http://other/hi"):
        status, body = await client.get(path)
        assert status in (400, 404), path
        assert body != b"hi"
    assert (await client.get("/none"))[0] == 404
    assert (await client.get("/post"))[0] == 405
    assert (await client.get("/hi", ("host", "other")))[0] == 400
    assert (await client.get("/hi", ("host", "localhost")))[0] == 200
    assert (await client.get("/hi", authority="a b"))[0] == 400
    assert (await client.get("/hi", *[("x-a", "1")] * 101))[0] == 431
    assert (await client.get("/hi", ("x-a", "1" * 31_000)))[0] == 200
    assert (await client.get("/hi", ("x-a", "1" * 32_700)))[0] == 431
    assert (await client.get("/hi", method="CONNECT"))[0] == 501
    assert (await client.get("/hi", method="GE T"))[0] == 400
    assert not client.over


async def test_fields_as_http1_has_them(client: H3Client) -> None:
    _, told = await client.get("/seen/x", ("cookie", "a=1"), ("x-b", "2"), ("cookie", "c=3"))
    assert b"a=1; c=3" in told
    for length in ("+0", "0_0"):
        assert (await client.get("/hi", ("content-length", length)))[0] == 400, length


async def test_a_handshake_that_is_no_text_takes_no_other_request_with_it(client: H3Client) -> None:
    slow = client.request("/slow")
    for fields in (
        [(b":protocol", b"websocket"), (b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"\xff\xfe")],
        [],
    ):
        stream = client.quic.get_next_available_stream_id()
        head = [(b":method", b"CONNECT"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/hi")]
        client.http.send_headers(stream, head + fields)
        client.quic.stop_stream(stream, CANCELLED)
        client.transmit()
    assert await client.get("/hi") == (200, b"hi")
    assert not client.over
    assert slow not in client.reset


async def test_requests_that_are_reset_leave_nothing(world: World, client: H3Client) -> None:
    assert await client.get("/hi") == (200, b"hi")
    (call,) = (c for c in world.gateway._epoch.connections._open if isinstance(c, QuicCall))
    before = len(call._http._stream)
    for _ in range(50):
        stream = client.request("/upload", method="POST", more=True)
        client.transmit()
        client.quic.reset_stream(stream, CANCELLED)
        client.transmit()
    await until(lambda: not call._streams and len(call._http._stream) <= before, "all is forgotten")


async def test_a_path_that_is_no_text(client: H3Client) -> None:
    assert (await client.get("/hi\u00e9"))[0] == 400


async def test_a_head_without_an_end(client: H3Client) -> None:
    """A frame that is announced to be endless is not waited for."""
    stream = client.quic.get_next_available_stream_id()
    client.quic.send_stream_data(stream, b"\x01\x80\xff\xff\xff" + bytes(60_000))
    client.transmit()
    await until(lambda: client.over, "the end of the connection")
    assert client.code == 0x107


async def test_an_answer_that_breaks_off_is_told(client: H3Client) -> None:
    stream = client.request("/breaks")
    await until(lambda: stream in client.reset, "a reset")
    assert client.reset[stream] == INTERNAL_ERROR
    assert bytes(client.bodies[stream]) in (b"begun", b"")
    status, body = await client.get("/fails")
    assert status == 500
    assert b"secret" not in body


async def test_a_request_that_its_client_gives_up(client: H3Client, probe: Probe) -> None:
    stream = client.request("/slow")
    await until(lambda: probe.running, "the request")
    client.quic.stop_stream(stream, CANCELLED)
    client.transmit()
    await until(lambda: probe.cancelled, "its handler's end")
    assert await client.get("/hi") == (200, b"hi")


async def test_opening_and_resetting(client: H3Client, probe: Probe) -> None:
    """Requests that run on after their client has reset them are counted: there cannot be any number of those."""
    for count in (100, 200):
        streams = [client.request("/stubborn") for _ in range(100)]
        await until(lambda: probe.running == count, f"{count} requests")  # noqa: B023 - it is waited for here
        for stream in streams:
            client.quic.reset_stream(stream, CANCELLED)
            client.quic.stop_stream(stream, CANCELLED)
        client.transmit()
    client.request("/stubborn")
    await until(lambda: client.over, "the end of the connection")
    assert client.code == 0x107
    probe.release.set()
    await until(lambda: not probe.running, "the requests' end")


async def test_a_websocket(client: H3Client) -> None:
    stream = client.quic.get_next_available_stream_id()
    fields = [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", b"/ws"),
        (b"sec-websocket-version", b"13"),
    ]
    client.bodies[stream] = bytearray()
    client.http.send_headers(stream, fields)
    client.transmit()
    await until(lambda: stream in client.heads, "the handshake")
    assert client.status(stream) == 200
    ws = Connection(ConnectionType.CLIENT)
    client.http.send_data(stream, ws.send(TextMessage("hello")), end_stream=False)
    client.transmit()
    await until(lambda: b"hello" in client.bodies[stream], "the echo")
    client.http.send_data(stream, ws.send(CloseConnection(1000)), end_stream=False)
    client.transmit()
    await until(lambda: stream in client.ended, "the end")


async def test_answers_over_tcp_tell_of_it(world: World, certificate: tuple[Path, Path]) -> None:
    await world.start(ROUTES, tls=tls(certificate))
    h2 = await H2Client.connect(world.port, certificate[0])
    for path in ("/hi", "/seen/it", "/none", "/post", "/fails"):
        stream = h2.request(path)
        await h2.answer(stream)
        assert h2.heads[stream]["alt-svc"] == f'h3=":{world.port}"; ma=3600', path
    await world.edit(ROUTES, tls=tls(certificate, http3=False))
    stream = h2.request("/hi")
    assert await h2.answer(stream) == (200, b"hi")
    assert "alt-svc" not in h2.heads[stream]
    await h2.close()

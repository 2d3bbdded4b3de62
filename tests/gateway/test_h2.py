"""HTTP/2 over TLS: requests beside one another on one connection, and streams that do not starve them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from tests.gateway.world import JPEG, World, route, until

ROUTES = [
    route("/stream/**", "stream", chain=["access_log"]),
    route("/hi", "respond", body="hi"),
    route("/post", "respond", body="posted", methods=["POST"]),
]


class H2Client:
    """One connection. What comes is kept by stream: `heads`, `bodies`, `ended`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.over = False
        self.acknowledge = True
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext) -> Self:
        it = cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))
        assert it.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        it.connection.initiate_connection()
        it.flush()
        return it

    def flush(self) -> None:
        self.writer.write(self.connection.data_to_send())

    def request(self, path: str, *, method: str = "GET", body: bytes | None = None, more: bool = False) -> int:
        stream = self.connection.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "localhost")]
        self.connection.send_headers(stream, fields, end_stream=body is None)
        if body is not None:
            self.connection.send_data(stream, body, end_stream=not more)
        self.bodies[stream] = bytearray()
        self.flush()
        return stream

    async def answer(self, stream: int) -> tuple[int, bytes]:
        await until(lambda: stream in self.ended or self.over, f"the end of stream {stream}")
        return int(self.heads[stream][":status"]), bytes(self.bodies[stream])

    async def _read(self) -> None:
        while data := await self.reader.read(65536):
            for event in self.connection.receive_data(data):
                self._note(event)
            self.flush()
        self.over = True

    def _note(self, event: Any) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            if self.acknowledge:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.ended.add(event.stream_id)
            self.reset[event.stream_id] = event.error_code

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.writer.close()


@pytest.fixture
async def client(world: World, certificate: tuple[Path, Path]) -> AsyncIterator[H2Client]:
    cert, key = certificate
    await world.start(ROUTES, tls={"certfile": str(cert), "keyfile": {"file": str(key)}})
    tls = ssl.create_default_context(cafile=str(cert))
    tls.check_hostname = False
    tls.set_alpn_protocols(["h2"])
    it = await H2Client.connect(world.port, tls)
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

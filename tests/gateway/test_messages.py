"""WebSockets as messages, over every version of HTTP: what a client can have the gateway hold is bounded."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage

from tests.gateway.client import Client
from tests.gateway.h2client import H2Client
from tests.gateway.h3client import H3Client
from tests.gateway.world import BOTH, World, route, until
from vidops.gateway import messages

SERVERS = BOTH
MIB = 1024 * 1024
TOO_BIG = b"\x88\x02" + struct.pack(">H", 1009)
ASKED = (("sec-websocket-version", "13"), ("sec-websocket-extensions", "permessage-deflate"))


class Talk:
    """A WebSocket's bytes: `got` of them have come, those of the handshake aside."""

    fields: dict[str, str]

    def __init__(self, carrier: Any) -> None:
        self.carrier = carrier
        self.got = bytearray()

    @property
    def over(self) -> bool:
        return self.reading.done()

    async def open(self) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in ASKED)
        key = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        self.carrier.send(f"GET /ws HTTP/1.1\r\nHost: localhost\r\n{key}{lines}\r\n".encode())
        head = await self.carrier.head()
        assert head.status == 101
        self.fields = head.headers
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while data := await self.carrier.reader.read(65536):
                self.got += data
        except ConnectionError:
            return

    async def send(self, data: bytes) -> None:
        self.carrier.send(data)
        await self.carrier.writer.drain()

    async def close(self) -> None:
        self.carrier.close()
        await asyncio.wait([self.reading])


class Talk2(Talk):
    """Over HTTP/2."""

    @property
    def over(self) -> bool:
        return self.stream in self.carrier.ended or self.carrier.over

    async def open(self) -> None:
        await until(lambda: self.carrier.connection.remote_settings.enable_connect_protocol, "settings")
        h2 = self.carrier.connection
        self.stream = h2.get_next_available_stream_id()
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/ws"),
                  (":authority", "localhost"), *ASKED]  # fmt: skip
        h2.send_headers(self.stream, fields)
        self.got = self.carrier.bodies[self.stream] = bytearray()
        self.carrier.flush()
        await until(lambda: self.stream in self.carrier.heads, "the handshake")
        self.fields = self.carrier.heads[self.stream]
        assert self.fields[":status"] == "200"

    async def send(self, data: bytes) -> None:
        h2 = self.carrier.connection
        while data:
            if self.over:
                raise ConnectionError
            room = min(h2.local_flow_control_window(self.stream), h2.max_outbound_frame_size)
            if room == 0:
                await asyncio.sleep(0.001)
                continue
            h2.send_data(self.stream, data[:room])
            data = data[room:]
            self.carrier.flush()
            await self.carrier.writer.drain()
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self.carrier.close()


class Talk3(Talk):
    """Over HTTP/3."""

    @property
    def over(self) -> bool:
        return self.stream in self.carrier.ended or self.stream in self.carrier.reset

    async def open(self) -> None:
        self.stream = self.carrier.quic.get_next_available_stream_id()
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "localhost"),
                  (":path", "/ws"), *ASKED]  # fmt: skip
        self.got = self.carrier.bodies[self.stream] = bytearray()
        self.carrier.http.send_headers(self.stream, [(n.encode(), v.encode()) for n, v in fields])
        self.carrier.transmit()
        await until(lambda: self.stream in self.carrier.heads, "the handshake")
        self.fields = {n.decode(): v.decode() for n, v in self.carrier.heads[self.stream]}
        assert self.fields[":status"] == "200"

    async def send(self, data: bytes) -> None:
        sender = self.carrier.quic._streams[self.stream].sender
        while len(sender._buffer) > 1 << 17 and not self.over:
            await asyncio.sleep(0.001)
        if self.over:
            raise ConnectionError
        self.carrier.http.send_data(self.stream, data, end_stream=False)
        self.carrier.transmit()

    async def close(self) -> None:
        await self.carrier.end()


@pytest.fixture(params=[1, 2, 3])
async def talk(request: pytest.FixtureRequest, world: World, certificate: tuple[Path, Path]) -> AsyncIterator[Talk]:
    cert, key = certificate
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}, "http3": True}
    secure = {"tls": tls} if request.param > 1 else {}
    await world.start([route("/ws", "echo", chain=["access_log"])], **secure)
    it: Talk
    if request.param == 1:
        it = Talk(await Client.connect(world.port))
    elif request.param == 2:
        it = Talk2(await H2Client.connect(world.port, cert))
    else:
        it = Talk3(await H3Client.to(world.port, cert))
    await it.open()
    yield it
    await it.close()


def frame(payload: bytes, *, first: int = 0x82, length: int | None = None) -> bytes:
    """Masked with zeros. `first`: FIN, RSV and the opcode; `length`: what the head says."""
    length = len(payload) if length is None else length
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 1 << 16:
        size = bytes([0x80 | 126]) + struct.pack(">H", length)
    else:
        size = bytes([0x80 | 127]) + struct.pack(">Q", length)
    return bytes([first]) + size + bytes(4) + payload


async def pour(talk: Talk, parts: Any) -> None:
    try:
        for part in parts:
            await talk.send(part)
    except ConnectionError:
        return


async def test_compression_is_not_agreed_on(talk: Talk) -> None:
    assert "sec-websocket-extensions" not in talk.fields
    frames = Connection(ConnectionType.CLIENT)
    await talk.send(frames.send(TextMessage(data="hello")))
    await until(lambda: b"hello" in talk.got, "the echo")
    await talk.send(frames.send(CloseConnection(code=1000)))
    await until(lambda: talk.over, "the end")


async def test_a_bomb_is_not_inflated(world: World, talk: Talk) -> None:
    way = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(way.compress(bytes(MIB)) for _ in range(64)) + way.flush(zlib.Z_SYNC_FLUSH)
    tracemalloc.start()
    try:
        await pour(talk, [frame(bomb[:-4], first=0xC1)])
        await until(lambda: talk.over, "the end")
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert b"\x88\x02" + struct.pack(">H", 1002) in talk.got


@pytest.mark.parametrize("way", ["frame", "fragments", "text"])
async def test_a_message_without_end_is_refused_and_dropped(
    talk: Talk, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a client that goes on after the close, and never answers it."""
    monkeypatch.setattr(messages, "CLOSING_TIME", 1.0)
    part = bytes(1 << 14)
    parts = [part] * 512
    match way:
        case "frame":
            parts[0] = frame(part, length=1 << 40)
        case "fragments":
            parts = [frame(part, first=0x02), *([frame(part, first=0x00)] * 511)]
        case _:
            smile = "\N{SLIGHTLY SMILING FACE}".encode() * 4096
            parts = [frame(smile, first=0x01), *([frame(smile, first=0x00)] * 511)]
    tracemalloc.start()
    try:
        await pour(talk, parts)
        await until(lambda: talk.over, "the end")
        assert tracemalloc.get_traced_memory()[1] < 6 * MIB
    finally:
        tracemalloc.stop()
    assert TOO_BIG in talk.got


async def test_a_client_that_answers_the_close_waits_for_nothing(talk: Talk) -> None:
    await talk.send(frame(bytes(MIB + 1)))
    await until(lambda: TOO_BIG in talk.got, "the close")
    await talk.send(frame(struct.pack(">H", 1009), first=0x88))
    await until(lambda: talk.over, "the end", messages.CLOSING_TIME / 2)


async def test_a_websocket_that_is_over_leaves_its_connection(
    world: World, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP/2, whatever still comes to it; and there is room for more of them than may be open at once."""
    monkeypatch.setattr(messages, "CLOSING_TIME", 0.1)
    cert, key = certificate
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}}
    await world.start([route("/ws", "echo"), route("/hi", "respond", body="hi")], tls=tls)
    client = await H2Client.connect(world.port, cert)
    for _ in range(110):
        talk = Talk2(client)
        await talk.open()
        await talk.send(frame(struct.pack(">H", 1000), first=0x88))
        await until(lambda talk=talk: talk.over, "the end")  # type: ignore[misc]
        client.connection.end_stream(talk.stream)
    talk = Talk2(client)
    await talk.open()
    await pour(talk, [frame(b"", length=1 << 40) + bytes(2 * MIB)])
    await until(lambda: talk.over, "the end")
    client.connection.send_data(talk.stream, b"more")
    client.flush()
    assert await client.answer(client.request("/hi")) == (200, b"hi")
    await client.close()


async def test_the_limit_counts_bytes(talk: Talk) -> None:
    frames = Connection(ConnectionType.CLIENT)
    await talk.send(frames.send(TextMessage(data="ü" * (MIB // 2 + 1))))
    await until(lambda: TOO_BIG in talk.got, "the close")

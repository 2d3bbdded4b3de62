"""What a client of HTTP/2 gets beside an upstream's answer: interim responses, and trailers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection

from tests.gateway.client import Client
from tests.gateway.h2client import H2Client
from tests.gateway.world import World, route, until
from tests.plugins.proxy.test_websocket import echo
from tests.plugins.proxy.upstream import Service

TE = ("te", "trailers")
LINK = "</app.js>; rel=preload; as=script"
CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


@pytest.fixture
async def client(world: World, service: Service, certificate: tuple[Path, Path]) -> AsyncIterator[H2Client]:
    cert, key = certificate
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}}
    await world.start([route("/**", "proxy", upstreams=[service.url], chain=["access_log", "compress"])], tls=tls)
    it = await H2Client.connect(world.port, cert)
    yield it
    await it.close()


def says(service: Service, text: str) -> None:
    async def talk(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())

    service.talk = talk


async def test_interim_responses_come_early(service: Service, client: H2Client) -> None:
    heard_of = asyncio.Event()

    async def talk(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        writer.write(f"HTTP/1.1 103 Early Hints\r\nLink: {LINK}\r\nSet-Cookie: a=b\r\n\r\n".encode())
        await heard_of.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    service.talk = talk
    stream = client.request("/")
    interim = [[(":status", "102")], [(":status", "103"), ("link", LINK)]]
    await until(lambda: client.interim.get(stream) == interim, "what comes before the answer")
    assert stream not in client.heads
    heard_of.set()
    assert await client.answer(stream) == (200, b"ok")


async def test_the_code_with_which_a_client_closes_a_websocket(
    world: World, service: Service, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    service.talk = echo
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}}
    await world.start([route("/**", "proxy", upstreams=[service.url], websocket=True)], tls=tls)
    client = await H2Client.connect(world.port, cert)
    stream = client.connection.get_next_available_stream_id()
    client.bodies[stream] = bytearray()
    head = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/", ":authority": "localhost"}
    client.connection.send_headers(stream, [*head.items(), ("sec-websocket-version", "13")])
    client.flush()
    await until(lambda: client.heads.get(stream, {}).get(":status") == "200", "it is open")
    frames = Frames(ConnectionType.CLIENT)
    client.connection.send_data(stream, bytes(frames.send(CloseConnection(code=4001, reason="bye"))))
    client.flush()
    await until(lambda: service.heard[0].get("closed"), "the service hears of it")
    assert (service.heard[0].get("closed"), service.heard[0].get("why")) == ("4001", "bye")
    await client.close()


async def test_announced_trailers_go_on(service: Service, client: H2Client) -> None:
    trailers = "X-Checksum: 5d41\r\nSet-Cookie: a=b\r\nX-Secret: not announced\r\nServer-Timing: db;dur=5\r\n"
    announced = "Trailer: X-Checksum, set-cookie\r\nTrailer: server-timing, content-length\r\n"
    says(service, f"{CHUNKED}{announced}\r\n5\r\nhello\r\n0\r\n{trailers}\r\n")
    for _ in range(2):  # one connection to the service for both
        stream = client.request("/", TE)
        assert await client.answer(stream) == (200, b"hello")
        assert client.heads[stream]["trailer"] == "server-timing, x-checksum"
        assert client.trailers[stream] == [("x-checksum", "5d41"), ("server-timing", "db;dur=5")]
    assert [heard.get("te") for heard in service.heard] == ["trailers"] * 2
    assert service.connections == 1


async def test_trailers_that_do_not_come_are_none(service: Service, client: H2Client) -> None:
    says(service, f"{CHUNKED}Trailer: X-Checksum\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    stream = client.request("/", TE)
    assert await client.answer(stream) == (200, b"hello")
    assert client.trailers.get(stream, []) == []
    assert not client.over


async def test_who_does_not_ask_gets_none(service: Service, client: H2Client) -> None:
    says(service, f"{CHUNKED}Trailer: X-Checksum\r\n\r\n5\r\nhello\r\n0\r\nX-Checksum: 5d41\r\n\r\n")
    stream = client.request("/")
    assert await client.answer(stream) == (200, b"hello")
    assert (client.trailers, "trailer" in client.heads[stream]) == ({}, False)
    assert service.heard[0].get("te") is None


@pytest.mark.parametrize("endless", ["one trailer", "many trailers", "an extension of a chunk"])
async def test_what_comes_after_the_body_is_bounded(world: World, service: Service, endless: str) -> None:
    sent = 0

    async def talk(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        begin = {"one trailer": b"0\r\nX-Long: ", "many trailers": b"0\r\n", "an extension of a chunk": b"5;"}[endless]
        part = b"X-Many: yes\r\n" * 1000 if endless == "many trailers" else b"x" * 16_000
        writer.write(f"{CHUNKED}Trailer: x-long, x-many\r\n\r\n5\r\nhello\r\n".encode() + begin)
        while sent < 64 << 20 and not writer.is_closing():
            writer.write(part)
            sent += len(part)
            await writer.drain()

    service.talk = talk
    await world.start([route("/**", "proxy", upstreams=[service.url])])
    async with await Client.connect(world.port) as client:
        with pytest.raises((asyncio.IncompleteReadError, ValueError, ConnectionError)):
            await client.get("/")
    assert sent < 16 << 20

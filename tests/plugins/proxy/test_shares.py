"""Whose requests have the connections to an upstream: one client cannot have all of them, however slow it is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.gateway.client import Answer, Client
from tests.gateway.world import BOTH, World, route, until
from tests.plugins.proxy.upstream import Heard, Service, reply

SERVERS = BOTH

pytestmark = pytest.mark.integration

SLOW = 300
"""More than there are connections to an upstream."""


@contextlib.asynccontextmanager
async def somebody_else(port: int) -> AsyncIterator[Client]:
    streams = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    async with Client(*streams) as client:
        yield client


@contextlib.asynccontextmanager
async def held(port: int, count: int, said: bytes) -> AsyncIterator[Callable[[], Any]]:
    """That many connections of 127.0.0.1, each of which says this and reads nothing; call it for one more."""
    sockets: list[socket.socket] = []

    async def one() -> None:
        made = socket.socket()
        sockets.append(made)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        made.send(said)

    try:
        for _ in range(count):
            await one()
        yield one
    finally:
        for made in sockets:
            made.close()


async def talk(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if "large" in heard.first:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n")
        for _ in range(80):
            writer.write(bytes(100_000))
            await writer.drain()
    else:
        await heard.take(reader)
        writer.write(reply())


SLOWLY = {
    "heads without bodies": b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n",
    "bodies": b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nslow",
    "chunks": b"POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n",
    "readers": b"GET /api/large HTTP/1.1\r\nHost: h\r\n\r\n",
}


@pytest.mark.parametrize("way", SLOWLY)
async def test_slow_clients_of_one_address_hold_up_nobody_else(world: World, service: Service, way: str) -> None:
    service.talk = talk
    await world.start([route("/api/**", "proxy", upstreams=[service.url])])
    async with held(world.port, SLOW, SLOWLY[way]):
        await until(lambda: world.gateway.status()["connections"] >= SLOW, "all are there")
        expected = 0 if way == "heads without bodies" else 64
        await until(lambda: len(service.heard) == expected, "the upstream has those that it gets")
        began = time.monotonic()
        async with somebody_else(world.port) as client:
            for _ in range(5):
                assert (await client.get("/api/x")).status == 200
        assert time.monotonic() - began < 2
        assert len(service.heard) == expected + 5


async def test_a_client_beyond_its_share_is_told_to_wait(world: World, service: Service) -> None:
    service.talk = talk
    limits = {"most": 4, "per_client": 2, "wait": "200ms"}
    await world.start([route("/api/**", "proxy", upstreams=[service.url], connections=limits)])
    async with held(world.port, 2, SLOWLY["bodies"]), await Client.connect(world.port) as client:
        await until(lambda: len(service.heard) == 2, "its share is taken")
        answer: Answer = await client.get("/api/x")
        assert (answer.status, answer.json()["reason"]) == (503, "UpstreamBusy")
        assert answer.headers["retry-after"] == "1"
        async with somebody_else(world.port) as other:
            assert (await other.get("/api/x")).status == 200
    async with await Client.connect(world.port) as client:
        assert (await client.get("/api/x")).status == 200, "its share is free again"


async def test_a_share_is_the_clients_own_behind_a_proxy(world: World, service: Service) -> None:
    service.talk = talk
    limits = {"most": 4, "per_client": 1, "wait": "200ms"}
    trusted = {"type": "trusted_proxies", "options": {"networks": ["127.0.0.1"]}}
    await world.start([route("/api/**", "proxy", upstreams=[service.url], connections=limits, chain=[trusted])])
    slow = SLOWLY["bodies"].replace(b"Host: h", b"Host: h\r\nX-Forwarded-For: 2001:db8::1")
    async with held(world.port, 1, slow), await Client.connect(world.port) as client:
        await until(lambda: len(service.heard) == 1, "its share is taken")
        assert (await client.get("/api/x", headers="X-Forwarded-For: 2001:db8::2\r\n")).status == 503, "the same /64"
        assert (await client.get("/api/x", headers="X-Forwarded-For: 2001:db8:1::1\r\n")).status == 200

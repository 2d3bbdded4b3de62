"""WebSocket handshakes that are none: answered, closed, and nothing of them is left."""

from __future__ import annotations

import pytest

from tests.gateway.client import Client, get
from tests.gateway.test_servers import HANDSHAKE
from tests.gateway.world import BOTH, World, route, until

SERVERS = BOTH

ROUTES = [route("/ws", "echo"), route("/hi", "respond", body="hi")]
KEY = b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
VERSION = b"Sec-WebSocket-Version: 13\r\n"
BAD = [
    (HANDSHAKE.replace(b"13", b"12"), 426),
    (HANDSHAKE.replace(VERSION, b""), 426),
    (HANDSHAKE.replace(VERSION, VERSION + b"Sec-WebSocket-Version: 8\r\n"), 426),
    (HANDSHAKE.replace(KEY, b"X-Key: a"), 400),
    (HANDSHAKE.replace(KEY, KEY[:-2]), 400),
    (HANDSHAKE.replace(KEY, KEY + b"\r\n" + KEY), 400),
    (HANDSHAKE + b"\x81\x82\0\0\0\0hi", 400),  # a frame before the answer
]


@pytest.mark.parametrize(("request_", "status"), BAD)
async def test_is_refused_and_closed(world: World, request_: bytes, status: int) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        client.send(request_)
        answer = await client.answer()
        assert answer.status == status
        assert "close" in answer.headers["connection"]
        assert answer.headers.get("sec-websocket-version") == ("13" if status == 426 else None)
        assert await client.reader.read() == b""
    await until(lambda: world.gateway.status()["connections"] == 0, "the connection's end", 3)


async def test_of_a_method_that_looks_like_another_is_none(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        client.send(HANDSHAKE.replace(b"GET", b"get"))
        assert (await client.answer()).status in (400, 501)
        assert await client.reader.read() == b""


async def test_many_leave_nothing_though_their_clients_stay(world: World) -> None:
    await world.start(ROUTES)
    clients = [await Client.connect(world.port) for _ in range(50)]
    for number, client in enumerate(clients):
        client.send(BAD[number % 2 * 3][0])
    await until(lambda: world.gateway.status()["connections"] == 0, "the connections' end", 5)
    assert (await get(world.port, "/hi")).body == b"hi"
    for client in clients:
        client.close()

"""Answers that come before a request's body has: what the client is told, and when its connection ends."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.gateway.client import Client
from tests.gateway.world import BOTH, World, route

SERVERS = BOTH
ROUTES = [route("/refused", "respond", status=401), route("/upload", "upload"), route("/slow", "slow", seconds=30)]


def post(path: str, length: int = 4, fields: str = "Expect: 100-continue\r\n") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{fields}\r\n".encode()


@pytest.fixture
async def client(world: World) -> Client:
    await world.start(ROUTES)
    return await Client.connect(world.port)


@pytest.mark.parametrize(("path", "length", "status"), [("/refused", 4, 401), ("/upload", 10**12, 413)])
async def test_who_is_refused_sends_no_body(client: Client, path: str, length: int, status: int) -> None:
    began = time.monotonic()
    client.send(post(path, length))
    answer = await client.answer()
    assert (answer.status, answer.headers.get("connection")) == (status, "close")
    assert await client.closed() == b""
    assert time.monotonic() - began < 1.5, "nothing is waited for"


async def test_who_is_read_is_told_to_go_on(client: Client) -> None:
    for _ in range(2):
        client.send(post("/upload"))
        assert (await client.head()).status == 100
        client.send(b"body")
        answer = await client.answer()
        assert (answer.status, "connection" in answer.headers) == (200, False)


async def test_who_goes_on_without_is_told_nothing(client: Client) -> None:
    client.send(post("/upload") + b"body")
    assert (await client.answer()).status == 200


async def test_who_is_still_sending_is_told_of_the_end(client: Client) -> None:
    client.send(post("/refused", 4, "") + b"bo")
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    client.send(b"dy")
    assert await client.closed() == b""


async def test_who_has_sent_all_keeps_the_connection(client: Client) -> None:
    for _ in range(3):
        client.send(post("/refused", 4, "") + b"body")
        answer = await client.answer()
        assert (answer.status, "connection" in answer.headers) == (401, False)


async def test_who_closes_half_has_left(client: Client) -> None:
    """And hears no mistake of ours."""
    client.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
    await asyncio.sleep(0.1)
    client.writer.write_eof()
    assert await client.closed(5) == b""

"""What a client of HTTP/1.1 gets beside an upstream's answer: interim responses before it, trailers after it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gateway.client import Client
from tests.gateway.world import BOTH, World, route, until
from tests.plugins.proxy.test_h2 import CHUNKED, LINK, says
from tests.plugins.proxy.upstream import Service

SERVERS = BOTH
EARLY = (
    f"HTTP/1.1 103 Early Hints\r\nLink: {LINK}\r\nX-Other: yes\r\n"
    "Set-Cookie: a=b\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"
)
WANTS = "TE: trailers\r\nConnection: TE\r\n"
OLD = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
TRAILED = f"{CHUNKED}Trailer: X-Checksum\r\n\r\n5\r\nhello\r\n0\r\nX-Checksum: 5d41\r\nX-Secret: not announced\r\n\r\n"


async def test_interim_responses_come_early(world: World, service: Service) -> None:
    heard_of = asyncio.Event()

    async def talk(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nContent-Length: 3\r\n\r\n" + EARLY.encode()
        )
        await heard_of.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    service.talk = talk
    await world.start([route("/**", "proxy", upstreams=[service.url], chain=["access_log", "compress", "cache"])])
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        first, second = await client.head(), await client.head()
        assert (first.status, first.headers) == (102, {})
        assert (second.status, second.headers) == (103, {"link": LINK, "x-other": "yes"})
        heard_of.set()
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers.get("x-other")) == (200, b"ok", None)
        assert (await client.get("/")).status == 102  # the connection is in step, for the next request as well


async def test_what_is_removed_from_answers_is_removed_from_those_before(world: World, service: Service) -> None:
    says(service, f"{EARLY}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    changes = {"type": "headers", "options": {"response": {"remove": ["x-other"], "set": {"link": "none"}}}}
    await world.start([route("/**", "proxy", upstreams=[service.url], chain=[changes])])
    async with await Client.connect(world.port) as client:
        early = await client.get("/")
        assert (early.status, early.headers) == (103, {})
        assert (await client.answer()).headers["link"] == "none"


async def test_an_older_client_gets_the_answer_alone(world: World, service: Service) -> None:
    says(service, EARLY + TRAILED)
    await world.start([route("/**", "proxy", upstreams=[service.url])])
    async with await Client.connect(world.port) as client:
        client.send(OLD)
        answer = await client.answer()
        assert (answer.status, answer.body, "trailer" in answer.headers) == (200, b"hello", False)


async def test_interim_responses_have_an_end(world: World, service: Service) -> None:
    says(service, EARLY * 11)
    await world.start([route("/**", "proxy", upstreams=[service.url])])
    async with await Client.connect(world.port) as client:
        seen = (await client.get("/")).status
        while seen == 103:
            seen = (await client.answer()).status
        assert seen == 502


async def test_announced_trailers_go_on_to_who_asks(world: World, service: Service) -> None:
    says(service, TRAILED)
    await world.start([route("/**", "proxy", upstreams=[service.url], chain=["access_log", "compress"])])
    async with await Client.connect(world.port) as client:
        for _ in range(2):
            client.send(f"GET / HTTP/1.1\r\nHost: x\r\n{WANTS}\r\n".encode())
            head = await client.head()
            assert (head.headers["trailer"], head.headers["transfer-encoding"]) == ("x-checksum", "chunked")
            assert await client.reader.readuntil(b"\r\n\r\n") == b"5\r\nhello\r\n0\r\nx-checksum: 5d41\r\n\r\n"
        answer = await client.get("/")  # who does not ask
        assert (answer.body, "trailer" in answer.headers) == (b"hello", False)
    assert service.connections == 1
    assert [heard.get("te") for heard in service.heard] == ["trailers", "trailers", None]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_trailers_without_a_place_are_dropped(world: World, service: Service, method: str) -> None:
    """Those that do not come, and those of an answer without a body."""
    says(service, f"{CHUNKED}Trailer: X-Checksum\r\n\r\n" + ("5\r\nhello\r\n0\r\n\r\n" if method == "GET" else ""))
    await world.start([route("/**", "proxy", upstreams=[service.url])])
    async with await Client.connect(world.port) as client:
        for _ in range(2):
            answer = await client.get("/", method=method, headers=WANTS)
            assert (answer.status, answer.body) == (200, b"hello" if method == "GET" else b"")


async def test_a_client_that_leaves_at_a_hint_leaves_nothing(world: World, service: Service) -> None:
    left = asyncio.Event()

    async def talk(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EARLY.encode())
        await reader.read()
        left.set()

    service.talk = talk
    await world.start([route("/**", "proxy", upstreams=[service.url])])
    async with await Client.connect(world.port) as client:
        assert (await client.get("/")).status == 103
    await until(left.is_set, "the upstream's connection ended")

"""What a circuit breaker is for, and what clients cannot do with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gateway.client import Client
from tests.gateway.world import World, route
from tests.plugins.proxy.upstream import Heard, Service, reply

pytestmark = pytest.mark.integration


async def talk(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(0.2):
            await heard.take(reader)
    except TimeoutError:
        writer.close()
        return
    if "crash" in heard.first:
        writer.close()
    else:
        writer.write(reply(b"first"))


async def serve(world: World, *services: Service, **options: Any) -> None:
    urls = [service.url for service in services]
    await world.start([route("/**", "proxy", upstreams=urls, balance="first", **options)])


async def crash(world: World, times: int = 12) -> None:
    async with await Client.connect(world.port) as client:
        for _ in range(times):
            assert (await client.get("/crash", method="POST", body=b"x")).status == 502


async def asked(world: World) -> bytes:
    async with await Client.connect(world.port) as client:
        return (await client.get("/x")).body


async def test_the_only_upstream_is_never_left_alone(world: World, service: Service) -> None:
    service.talk = talk
    await serve(world, service)
    await crash(world)
    assert await asked(world) == b"first"


async def test_all_upstreams_are_never_left_alone(world: World, service: Service, other: Service) -> None:
    service.talk = other.talk = talk
    await serve(world, service, other)
    await crash(world)
    assert {heard.first for heard in other.heard} == {"POST /crash HTTP/1.1"}, "the second had its turn"
    assert await asked(world) == b"first"


async def test_one_of_several_is_left_alone_unless_told_otherwise(
    world: World, service: Service, other: Service
) -> None:
    service.talk = talk
    await serve(world, service, other)
    await crash(world, 5)
    assert await asked(world) == b"hello"
    await serve(world, service, other, circuit_breaker=None)
    await crash(world, 7)
    assert await asked(world) == b"first"


@pytest.mark.parametrize("framing", ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"])
async def test_a_body_that_does_not_come_is_no_failure_of_the_upstream(
    world: World, service: Service, other: Service, framing: str
) -> None:
    service.talk = talk
    await serve(world, service, other)

    async def stalled() -> int:
        async with await Client.connect(world.port) as client:
            client.send(f"POST /x HTTP/1.1\r\nHost: h\r\n{framing}".encode())
            return (await client.answer()).status

    assert await asyncio.gather(*(stalled() for _ in range(8))) == [502] * 8
    assert len(service.heard) == 8
    assert await asked(world) == b"first"

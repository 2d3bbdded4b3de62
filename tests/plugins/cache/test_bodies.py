"""`cache` and requests to look at something that have a body: what answers it is nobody else's."""

from __future__ import annotations

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import BOTH, route
from tests.gateway.world import World as Gateway
from tests.plugins.cache.origin import FRESH, Asked, Fields, Make
from tests.plugins.proxy.upstream import Heard, Service, reply

SERVERS = BOTH
CACHE = {"type": "cache", "options": {}}
ANNOUNCED: list[Fields] = [{"content_length": "6"}, {"content_length": "006"}, {"transfer_encoding": "chunked"}]


def echo(asked: Asked) -> tuple[int, Fields, bytes]:
    return 200, FRESH, b"asked for " + asked.body


@pytest.mark.parametrize("fields", [*ANNOUNCED, {}])
async def test_what_it_says_reaches_nobody_else(make: Make, fields: Fields) -> None:
    world = make()
    world.says = echo
    assert (await world.get("/", content=b"<evil>", **fields)).body == b"asked for <evil>"
    assert (await world.get("/")).body == b"asked for "
    assert (await world.get("/")).hit


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("fields", ANNOUNCED)
async def test_it_is_answered_by_the_upstream(make: Make, fields: Fields, method: str) -> None:
    world = make()
    world.says = echo
    await world.get("/")
    assert not (await world.get("/", method=method, content=b"<mine>", **fields)).hit
    assert world.asked[-1].body == b"<mine>"
    assert (await world.get("/", content_length="0")).hit


async def test_what_is_revalidated_with_it_is_not_kept(make: Make) -> None:
    world = make()
    world.says = lambda asked: (200, {**FRESH, "etag": '"1"'}, b"asked for " + asked.body)
    await world.get("/")
    world.now += 100
    assert (await world.get("/", content=b"<evil>")).body == b"asked for <evil>"
    assert (await world.get("/")).body == b"asked for "


async def test_nor_through_a_gateway(world: Gateway) -> None:
    async def talk(heard: Heard, reader: object, writer: object) -> None:
        body = await heard.take(reader)  # type: ignore[arg-type]
        writer.write(reply(b"asked for " + body, "Cache-Control: max-age=600"))  # type: ignore[attr-defined]

    service = Service(talk)
    await service.start()
    try:
        await world.start([route("/**", "proxy", chain=[CACHE], upstreams=[service.url])])
        assert (await get(world.port, "/", method="GET", body=b"<evil>")).body == b"asked for <evil>"
        async with await Client.connect(world.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"6\r\n<evil>\r\n0\r\n\r\n")
            assert (await client.answer()).body == b"asked for <evil>"
        assert (await get(world.port, "/")).body == b"asked for "
    finally:
        await service.stop()

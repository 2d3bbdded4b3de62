"""Viewers that leave: each is noticed, whatever it sent before, or its camera would stay open for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.gateway.client import Client, Viewer
from tests.gateway.world import BOTH, World, route, until

SERVERS = BOTH

ROUTES = [route("/stream/**", "stream"), route("/hi", "respond", body="hi")]


@pytest.fixture
async def filmed(world: World) -> AsyncIterator[World]:
    """The camera `door` delivers."""
    await world.start(ROUTES)

    async def film() -> None:
        while True:
            world.cameras.feed("door")
            await asyncio.sleep(0.01)

    task = asyncio.create_task(film())
    yield world
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def all_is_closed(world: World) -> None:
    await until(lambda: not world.cameras.subscriptions, "the camera is let go")
    await until(lambda: world.gateway.status()["streams"] == 0, "no stream is left")
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize(
    "more",
    [
        b"",
        b"\r\n",
        b"GET /hi HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /stream/yard HTTP/1.1\r\nHost: x\r\n\r\n",
        b"x" * 500_000,
    ],
    ids=["nothing", "an empty line", "a request", "another stream", "a lot"],
)
async def test_a_viewer_that_sent_more_and_leaves(filmed: World, more: bytes, how: str) -> None:
    viewer = await Viewer.connect(filmed.port)
    await viewer.watch("/stream/door")
    viewer.send(more)
    for _ in range(3):
        await viewer.part()
    if how == "abort":
        viewer.writer.transport.abort()
    else:
        viewer.close()
    await all_is_closed(filmed)


async def test_a_viewer_that_closes_its_own_half_has_left(filmed: World) -> None:
    async with await Viewer.connect(filmed.port) as viewer:
        await viewer.watch("/stream/door")
        await viewer.part()
        viewer.writer.write_eof()
        assert await viewer.ended()
        await all_is_closed(filmed)


async def test_viewers_that_leave_while_the_camera_says_nothing(world: World) -> None:
    await world.start(ROUTES)
    clients = [await Client.connect(world.port) for _ in range(5)]
    for client in clients:
        client.send(b"GET /stream/door HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: world.cameras.subscriptions and world.cameras.subscriptions[0].viewers == 5, "five viewers")
    for client in clients:
        client.writer.transport.abort()
    await all_is_closed(world)


async def test_a_crowd_that_comes_and_goes_leaves_nothing_behind(filmed: World) -> None:
    async def visit(n: int) -> None:
        viewer = await Viewer.connect(filmed.port)
        await viewer.watch("/stream/door")
        await viewer.part()
        if n % 2:
            viewer.writer.transport.abort()
        else:
            viewer.close()

    for _ in range(4):
        await asyncio.gather(*(visit(n) for n in range(25)))
    await all_is_closed(filmed)


async def test_who_sends_nonsense_into_a_stream_ends_nobody_elses(filmed: World) -> None:
    well = await Viewer.connect(filmed.port)
    await well.watch("/stream/door")
    await well.part()
    for _ in range(20):
        async with await Viewer.connect(filmed.port) as bad:
            bad.send(b"GET /stream/door HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            await bad.reader.readuntil(b"--vidops\r\n")
            bad.send(b"zz\r\n")
            assert b"400" not in await bad.reader.read()
    async with asyncio.timeout(5):
        for _ in range(10):
            await well.part()
    well.close()
    await all_is_closed(filmed)


async def test_who_only_sends_is_ended_too(world: World) -> None:
    """An application that waits for nothing: a server that drops what it sends must let the others have a turn."""
    await world.start([route("/flood", "flood", size=1 << 50), route("/hi", "respond", body="hi")])
    async with await Viewer.connect(world.port) as viewer:
        viewer.send(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        await viewer.reader.readexactly(100_000)
        viewer.writer.transport.abort()
    async with asyncio.timeout(5), await Client.connect(world.port) as client:
        assert (await client.get("/hi")).status == 200
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")

"""Viewers that leave: each is noticed, whatever it sent before, or its camera would stay open for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.gateway.client import Client, Viewer
from tests.gateway.world import BOTH, JPEG, World, route, until
from vidops.gateway import config, connection, dispatcher, exchange
from vidops.gateway.servers import exchange as httptools_exchange
from vidops.gateway.servers import on_httptools

SERVERS = BOTH

LARGE = 8 << 20
"""Bytes that no socket takes at once."""
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


@pytest.mark.parametrize("path", ["/flood", "/big", "/stream/yard"])
async def test_who_closes_its_own_half_and_reads_nothing_is_let_go(
    filmed: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left for it may go out, but not for ever: whether its answer is under way, given out, or a stream."""
    monkeypatch.setattr(exchange, "LEAVING_GRACE", 0.2)
    monkeypatch.setattr(httptools_exchange, "LEAVING_GRACE", 0.2)
    for module in (connection, on_httptools):
        monkeypatch.setattr(module, "LAST_WORDS", 0.5)
    monkeypatch.setattr(dispatcher, "CLOSE_TIMEOUT", 0.5)
    big = route("/big", "respond", body="x" * LARGE)
    await filmed.edit([*ROUTES, route("/flood", "flood", size=1 << 50), big])
    well = await Viewer.connect(filmed.port)
    await well.watch("/stream/door")
    deaf = [socket.socket() for _ in range(10)]
    try:
        for sock in deaf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", filmed.port))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: filmed.gateway.status()["requests"] == 1 + len(deaf), "their requests")
        if path == "/stream/yard":
            await until(lambda: [s.viewers for s in filmed.cameras.subscriptions] == [1, len(deaf)], "they look")
            filmed.cameras.feed("yard", JPEG * (LARGE // len(JPEG)))
            await until(lambda: filmed.gateway.status()["streams"] == 1 + len(deaf), "their streams")
        for sock in deaf:
            sock.shutdown(socket.SHUT_WR)
        await until(lambda: filmed.gateway.status()["connections"] == 1, "they are let go", 20)
        async with asyncio.timeout(5):
            for _ in range(10):
                await well.part()
    finally:
        for sock in deaf:
            sock.close()
        well.close()
    await all_is_closed(filmed)


@pytest.mark.parametrize("half", [True, False])
async def test_who_has_its_answers_and_reads_none_is_let_go_when_idle(
    world: World, server: str, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are given out, and some of them wait in the gateway's own memory."""
    for module in (config, on_httptools):
        monkeypatch.setattr(module, "KEEP_ALIVE", 0.5)
    for module in (connection, on_httptools):
        monkeypatch.setattr(module, "LAST_WORDS", 0.5)
    await world.start([route("/some", "respond", body="x" * 5000)])
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", world.port))

        def pending() -> int:
            (one,) = world.gateway._epoch.connections._open
            transport: Any = one.writer.transport if server == "hypercorn" else one._transport  # type: ignore[attr-defined]
            return int(transport.get_write_buffer_size())

        for n in range(1, 10_000):
            sock.sendall(b"GET /some HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda n=n: world.gateway.status()["requests"] == n, "a request")  # type: ignore[misc]
            if pending() > 5000:
                break
        assert pending() > 5000
        if half:
            sock.shutdown(socket.SHUT_WR)
        await until(lambda: world.gateway.status()["connections"] == 0, "it is let go", 20)

"""Ten thousand connections that idle, a thousand clients that hardly read: others are served, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.gateway.client import Client
from tests.gateway.process import Process
from tests.gateway.world import BOTH, route

SERVERS = BOTH

pytestmark = [pytest.mark.integration, pytest.mark.long]

IDLE = 10_000
SLOW = 1_000
HUGE = 1 << 30
RARELY = 1.0
"""Seconds between a slow client's reads."""
SIP = 16 * 1024


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """As many as may be, here and in the gateway."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < IDLE + 1000:
        pytest.skip(f"needs {IDLE + 1000} open files; the limit is {before[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
async def process(server: str) -> AsyncIterator[Process]:
    it = Process(server=server)
    yield it
    await it.close()


async def memory(process: Process) -> float:
    """Megabytes."""
    return float((await process.ask("status"))["rss"]) / 1e6


async def latency(port: int) -> float:
    """Seconds that a request takes, as a rule."""
    async with await Client.connect(port) as client:
        times = []
        for _ in range(100):
            began = time.monotonic()
            assert (await client.get("/hi")).status == 200
            times.append(time.monotonic() - began)
    return statistics.median(times)


class Idler(asyncio.Protocol):
    """Asks once where `asks` is set, and never again."""

    def __init__(self, asks: bool) -> None:
        self.asks = asks
        self.answered = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.asks:
            transport.write(b"GET /hi HTTP/1.1\r\nHost: x\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        self.answered = self.answered or data.endswith(b"hi")


async def crowd(port: int, count: int) -> list[Idler]:
    """All at once, in groups of some hundred; half of them have had an answer."""
    loop = asyncio.get_running_loop()
    idlers: list[Idler] = []
    for begin in range(0, count, 500):
        kinds = [bool(n % 2) for n in range(begin, min(begin + 500, count))]
        opened = [loop.create_connection(lambda asks=asks: Idler(asks), "127.0.0.1", port) for asks in kinds]
        idlers += [idler for _, idler in await asyncio.gather(*opened)]
    return idlers


async def test_ten_thousand_idle_connections(process: Process) -> None:
    await process.start([route("/hi", "respond", body="hi")])
    before, usual = await memory(process), await latency(process.port)
    sizes = []
    for _ in range(2):
        idlers = await crowd(process.port, IDLE)
        async with asyncio.timeout(30):
            while not all(idler.answered for idler in idlers if idler.asks):
                await asyncio.sleep(0.05)
        sizes.append(await memory(process))
        assert await latency(process.port) < 5 * usual + 0.005
        for idler in idlers:
            assert idler.transport is not None
            assert not idler.transport.is_closing(), "it was served, not refused"
            idler.transport.abort()
        async with asyncio.timeout(30):
            while int((await process.ask("status"))["connections"]) > 0:
                await asyncio.sleep(0.05)
    assert (sizes[0] - before) * 1e6 / IDLE < 20_000, f"bytes for each of them, of {sizes[0]:.0f} MB"
    assert sizes[1] < sizes[0] * 1.15, "what they took is used again"


UPSTREAM = f"""
import asyncio, sys
async def serve(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: {HUGE}\\r\\n\\r\\n")
    part = bytes(65536)
    try:
        for _ in range({HUGE} // len(part)):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture
def upstream() -> Iterator[str]:
    """Answers everything with a body of `HUGE` bytes."""
    process = subprocess.Popen([sys.executable, "-c", UPSTREAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.wait()
    process.stdout.close()


async def sip(port: int, path: str, begun: list[str]) -> None:
    """Read a body of a client that has hardly any room, a little now and then, until cancelled."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIP)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await loop.sock_recv(sock, SIP)).startswith(b"HTTP/1.1 200")
        begun.append(path)
        while await loop.sock_recv(sock, SIP):
            await asyncio.sleep(RARELY)
    raise AssertionError("it was cut off")


def gulp(port: int, path: str) -> int:
    """Bytes of a whole answer, as fast as they come."""
    size, buffer = 0, bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        while count := sock.recv_into(buffer):
            size += count
    return size


async def test_a_thousand_slow_readers_of_huge_bodies(
    process: Process, upstream: str, tmp_path: Path, server: str
) -> None:
    slow = SLOW if server == "hypercorn" else SLOW // 4  # all of them once is long enough
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(HUGE)
    proxied = route("/proxied", "proxy", upstreams=[upstream], connections={"most": slow, "per_client": slow})
    await process.start([route("/hi", "respond", body="hi"), proxied, route("/**", "static", root=str(tmp_path))])
    before, usual = await memory(process), await latency(process.port)
    begun: list[str] = []
    sippers: list[asyncio.Task[None]] = []
    try:
        # A hundred at a time: how many can come at once is what the other test is about.
        for _ in range(slow // 100):
            paths = ("/proxied", "/huge") * 50
            sippers += [asyncio.create_task(sip(process.port, path, begun)) for path in paths]
            async with asyncio.timeout(60):
                while len(begun) < len(sippers):
                    for task in sippers:
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.05)
        sizes = []
        for path in ("/proxied", "/huge") * 2:
            assert await asyncio.to_thread(gulp, process.port, path) > HUGE
            sizes.append(await memory(process))
            assert await latency(process.port) < 20 * usual + 0.05
        for task in sippers:
            if task.done():
                task.result()
    finally:
        for task in sippers:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*sippers, return_exceptions=True)
    # By now everybody has what a slow client is given, and gigabytes have gone by.
    assert max(sizes[2:]) < max(sizes[:2]) * 1.1 + 10, "it grows with what was sent"
    assert (max(sizes) - before) * 1e3 / slow < 400, f"kilobytes for each of them, of {max(sizes):.0f} MB"

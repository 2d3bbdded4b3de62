"""What a viewer costs: the CPU of a gateway's process, with the pictures' size and rate of peers' figures.

Figures are the gateway's own CPU (one core is 100%), not that of the hub before it nor of the clients behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.gateway.client import Client
from tests.gateway.hub import SmallHub, small_hub
from tests.gateway.process import Process
from tests.gateway.world import route

pytestmark = [pytest.mark.bench, pytest.mark.integration]

ROUTES = [route("/stream/**", "stream"), route("/hi", "respond", body="hi")]
JPEG = b"\xff\xd8\xff\xe0" + bytes(22_000) + b"\xff\xd9"
"""22 kB: a picture of 640x480 at a usual quality."""
RATE = 30.0
SECONDS = 8.0


class Counter(asyncio.Protocol):
    """A viewer that counts the frames that it is sent, by their boundaries, and keeps none."""

    def __init__(self, path: str) -> None:
        self.frames = 0
        self.bytes = 0
        self._path = path
        self._tail = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        joined = self._tail + data
        self.frames += joined.count(b"X-Sequence")
        self.bytes += len(data)
        self._tail = joined[-9:]


class Sleeper(Counter):
    """A viewer that never reads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    it = Process()
    yield it
    await it.close()


async def crowd(port: int, count: int, kind: type[Counter] = Counter) -> list[Counter]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: kind("/stream/door"), "127.0.0.1", port))[1] for _ in range(count)]


async def measure(process: Process, viewers: list[Counter], hub: SmallHub) -> tuple[float, float, float]:
    """CPU in percent, the least frames a second that any viewer got, and the hub's own rate meanwhile."""
    await asyncio.sleep(1.0)  # the start is not what is measured
    cpu, began, delivered = process.cpu(), time.monotonic(), hub.delivered
    before = [viewer.frames for viewer in viewers]
    await asyncio.sleep(SECONDS)
    seconds = time.monotonic() - began
    slowest = min(viewer.frames - b for viewer, b in zip(viewers, before, strict=True)) / seconds
    return 100 * (process.cpu() - cpu) / seconds, slowest, (hub.delivered - delivered) / seconds


@pytest.mark.parametrize("count", [20, 100, 300, 500])
async def test_viewers(process: Process, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with small_hub(process.layout, "door", rate=RATE, jpeg=JPEG) as hub:
        await process.start(ROUTES)
        viewers = await crowd(process.port, count)
        cpu, slowest, rate = await measure(process, viewers, hub)
        rss = (await process.ask("status"))["rss"] / 1e6
        with capsys.disabled():
            print(
                f"\n{count} viewers, 22 kB at {rate:.1f} fps: {cpu:.1f}% CPU, {rss:.0f} MB; slowest {slowest:.1f} fps"
            )
        for viewer in viewers:
            assert viewer.transport is not None
            viewer.transport.abort()
        assert rss < 150
        assert slowest > rate * 0.9


async def test_viewers_that_never_read_cost_bounded_memory(
    process: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    async with small_hub(process.layout, "door", rate=RATE, jpeg=JPEG):
        await process.start(ROUTES)
        before = (await process.ask("status"))["rss"]
        asleep = await crowd(process.port, 100, Sleeper)
        sizes = []
        for _ in range(4):
            await asyncio.sleep(2.0)
            sizes.append((await process.ask("status"))["rss"])
        with capsys.disabled():
            print(f"\n100 viewers that never read: {before / 1e6:.0f} MB, then {[round(s / 1e6) for s in sizes]} MB")
        for viewer in asleep:
            assert viewer.transport is not None
            viewer.transport.abort()
        assert sizes[-1] - sizes[0] < 4e6, "it grows"


async def test_small_requests(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    await process.start(ROUTES)
    answered = 0
    deadline = time.monotonic() + SECONDS

    async def ask() -> None:
        nonlocal answered
        async with await Client.connect(process.port) as client:
            while time.monotonic() < deadline:
                assert (await client.get("/hi")).status == 200
                answered += 1

    cpu = process.cpu()
    await asyncio.gather(*(ask() for _ in range(8)))
    cpu = process.cpu() - cpu
    with capsys.disabled():
        print(f"\n{answered / SECONDS:.0f} requests/s over 8 connections; {1e6 * cpu / answered:.0f} µs of CPU each")
    assert answered

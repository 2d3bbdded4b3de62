"""The fakes keep what their ports promise, as far as tests lean on it."""

from __future__ import annotations

import asyncio

import pytest

from vidops.errors import PermanentError
from vidops.ports import Cameras, Clock, Frame, Processes
from vidops.testing import FakeCameras, FakeClock, FakeProcesses


async def test_cameras() -> None:
    cameras: Cameras = FakeCameras({"cam": [b"one", b"two"]})
    assert cameras.knows("cam")
    assert [s["name"] for s in cameras.states()] == ["cam"]
    assert (await cameras.snapshot("cam")).data == b"one"
    with pytest.raises(PermanentError):
        await cameras.snapshot("other")
    seen: list[Frame] = []
    gone: list[bool] = []
    subscription = cameras.subscribe("cam", seen.append)
    async with asyncio.timeout(5):
        while len(seen) < 3:
            await asyncio.sleep(0)
    subscription.close()
    assert [f.data for f in seen[:3]] == [b"one", b"two", b"one"]
    assert [f.sequence for f in seen[:3]] == [1, 2, 3]
    assert cameras.subscribe("other", seen.append, on_gone=lambda: gone.append(True)).unknown
    assert gone == [True]


async def test_processes() -> None:
    fake = FakeProcesses(refusing=["bad"])
    processes: Processes = fake
    with pytest.raises(PermanentError):
        await processes.state("a")
    await processes.ensure(["a"])
    assert (await processes.state("a")).stopped
    await processes.start("a")
    await processes.start("a")
    assert fake.history == [("start", "a")]
    fake.end("a", 3)
    assert (await processes.state("a")).exit_status == 3
    await processes.forget(["a"])
    assert await processes.inventory() == {}


async def test_clock() -> None:
    fake = FakeClock(10.0)
    clock: Clock = fake
    await clock.sleep(5)
    assert (clock.now(), clock.monotonic()) == (15.0, 15.0)

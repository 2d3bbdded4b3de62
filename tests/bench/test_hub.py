"""What the hub costs. Prints; run with `-m bench`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.hub.conftest import Host, host, layout, picture, until
from vidops.runtime.hubclient import HubClient

__all__ = ["host", "layout"]
pytestmark = [pytest.mark.bench, pytest.mark.integration]

TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid: int) -> int:
    """Bytes of memory that a process has now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_cpu_of_one_viewer_and_three_readers_of_every_frame(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", size="640x480"))
    pid = (await host.process("hub")).pid
    where = f"unix:{host.layout.output_socket('door')}"
    readers = [
        subprocess.Popen(
            [*["ffmpeg", "-v", "error", "-nostdin", "-f", "matroska", "-i"], where, *["-c", "copy", "-f", "null", "-"]]
        )
        for _ in range(3)
    ]
    frames: list[int] = []
    try:
        host.client.subscribe("door", lambda frame: frames.append(len(frame.data)))
        await host.until_state("door", "Online")
        before, seen, began = cpu(pid), len(frames), time.monotonic()
        await asyncio.sleep(10)
        took = time.monotonic() - began
        used = (cpu(pid) - before) / took
        rate = (len(frames) - seen) / took
        consumers = (await host.client.status())["consumers"]
    finally:
        for process in readers:
            process.kill()
            process.wait()
    size = statistics.mean(frames) / 1000
    print(
        f"\nhub, 640x480 at {rate:.1f} fps, {size:.0f} kB frames, 1 viewer and 3 readers: {used * 100:.1f}% of a core, "
        f"{rss(pid) / 1e6:.0f} MB"
    )
    assert sum(c["every"] for c in consumers) == 3
    assert all(c["lost"] == 0 for c in consumers)
    assert used < 0.15


async def test_cpu_of_an_h264_camera_with_two_viewers_and_a_recorder(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", size="640x480", codec="h264"))
    pid = (await host.process("hub")).pid
    where = f"unix:{host.layout.output_socket('door')}"
    recorder = subprocess.Popen(
        [*["ffmpeg", "-v", "error", "-nostdin", "-f", "matroska", "-i"], where, *["-c", "copy", "-f", "null", "-"]]
    )
    packets: list[int] = []
    jpegs: list[int] = []
    try:
        host.client.subscribe_packets("door", lambda packet: packets.append(len(packet.data)))
        host.client.subscribe("door", lambda frame: jpegs.append(len(frame.data)))
        await until(_has(jpegs), "a frame", 20)
        made = (await host.supervisor.state("derived.door.jpeg")).pid
        before, made_before, seen, began = cpu(pid), cpu(made), len(jpegs), time.monotonic()
        await asyncio.sleep(10)
        took = time.monotonic() - began
        used, encoding = (cpu(pid) - before) / took, (cpu(made) - made_before) / took
        rate = (len(jpegs) - seen) / took
    finally:
        recorder.kill()
        recorder.wait()
    print(
        f"\nhub, H.264 640x480 at {rate:.1f} fps, {statistics.mean(packets) / 1000:.1f} kB a frame, one viewer, one "
        f"of JPEGs, a recorder: {used * 100:.1f}% of a core, {rss(pid) / 1e6:.0f} MB; the FFmpeg that makes JPEGs: "
        f"{encoding * 100:.1f}%"
    )
    assert used < 0.15


def _has(items: list[int]) -> Callable[[], Awaitable[object]]:
    async def check() -> object:
        return items

    return check


async def test_memory_of_ten_readers_that_never_read(host: Host) -> None:
    await host.supervisor.stop("hub")
    await host.start_hub("--max-backlog", str(2 * 1024 * 1024))
    await host.camera("door", picture(host.layout, "door", size="640x480"), on_demand=None)
    await host.until_state("door", "Online")
    pid = (await host.process("hub")).pid
    with contextlib.ExitStack() as stack:
        for number in range(10):
            channel = stack.enter_context(socket.socket(socket.AF_UNIX))
            channel.connect(host.layout.hub_socket if number % 2 else host.layout.output_socket("door"))
            if number % 2:
                channel.sendall(b'{"op": "subscribe", "camera": "door"}\n')
        sizes = []
        for _ in range(10):
            await asyncio.sleep(1)
            sizes.append(rss(pid) / 1e6)
        consumers = (await host.client.status())["consumers"]
    print("\nhub, 5 viewers and 5 readers that never read, MB each second: " + " ".join(f"{s:.1f}" for s in sizes))
    assert len(consumers) == 10
    lost = [c["lost"] for c in consumers]
    print(f"frames lost by each so far: {lost}")
    assert all(lost)
    # Backlogs of 2 MiB are full after three seconds; from then on nothing grows.
    assert sizes[-1] - sizes[4] < 1.0


async def test_first_frame_on_demand(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", size="640x480"), on_demand={"close_after": 0.0})
    cold, warm = [], []
    for _ in range(10):
        began = time.monotonic()
        async with contextlib.aclosing(host.client.frames("door")) as frames:
            await anext(frames)
            cold.append(time.monotonic() - began)
            # A second process joins a running source.
            async with HubClient(host.layout) as other, contextlib.aclosing(other.frames("door")) as joined:
                began = time.monotonic()
                await anext(joined)
                warm.append(time.monotonic() - began)

        async def idle() -> bool:
            return (await host.state("door"))["state"] == "Idle"

        await until(idle, "closed")
    print(
        f"\nfirst frame on demand: median {statistics.median(cold) * 1000:.0f} ms, joining a running source "
        f"{statistics.median(warm) * 1000:.1f} ms"
    )
    assert statistics.median(warm) < 0.1

"""Sources under a real hub, a real supervisord and real FFmpeg: started, closed, healed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import stat
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from tests.hub.conftest import Host, picture, running_sources, until
from vidops.errors import PermanentError, TemporaryError
from vidops.ports import Frame
from vidops.resources.specs import FFMPEG, Program

pytestmark = pytest.mark.integration


class Viewer:
    """Takes every frame it is given, and notes when."""

    def __init__(self, host: Host, camera: str) -> None:
        self.frames: list[Frame] = []
        self.times: list[float] = []
        self.gone = False
        self.subscription = host.client.subscribe(camera, self._frame, on_gone=self._gone)

    def _frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.times.append(time.monotonic())

    def _gone(self) -> None:
        self.gone = True

    async def until(self, count: int, timeout: float = 15) -> None:
        async def enough() -> bool:
            return len(self.frames) >= count

        await until(enough, f"{count} frames (there are {len(self.frames)})", timeout)

    async def more(self, count: int = 5, timeout: float = 15) -> None:
        await self.until(len(self.frames) + count, timeout)

    def gap(self) -> float:
        return max(b - a for a, b in zip(self.times, self.times[1:], strict=False))


async def test_a_camera_opens_for_its_first_viewer_and_closes_after_its_last(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"))
    assert (await host.state("door"))["state"] == "Idle"
    assert running_sources(host.layout) == []
    async with contextlib.aclosing(host.client.frames("door")) as frames:
        seen = [await anext(frames) for _ in range(10)]
    assert [f.sequence for f in seen] == list(range(1, 11))
    assert all(b.timestamp > a.timestamp for a, b in itertools.pairwise(seen))
    assert abs(seen[-1].timestamp - time.time()) < 2
    await host.until_state("door", "Idle")
    assert running_sources(host.layout) == []


async def test_an_always_on_camera_runs_without_viewers(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"), on_demand=None)
    state = await host.until_state("door", "Online")
    assert (state["width"], state["height"], state["viewers"]) == (320, 240, 0)


async def test_a_killed_source_is_back_within_a_bare_start_and_100_ms(host: Host) -> None:
    program = picture(host.layout, "door")
    await host.camera("door", program, on_demand=None)
    viewer = Viewer(host, "door")
    await viewer.until(10)
    gaps, bare = [], []
    for _ in range(5):
        bare.append(await asyncio.to_thread(bare_start, program))
        # A run that was healthy: the next failure is the first one again.
        await host.camera("door", program, on_demand=None, restart={"healthy_after": 0.2})
        viewer.times.clear()
        os.kill((await host.process("source.door")).pid, signal.SIGKILL)
        await viewer.more(10)
        gaps.append(viewer.gap())
    print(
        f"\nsource killed: gap median {statistics.median(gaps) * 1000:.0f} ms, max {max(gaps) * 1000:.0f} ms; "
        f"bare FFmpeg start median {statistics.median(bare) * 1000:.0f} ms"
    )
    # The gap has one frame's time in it that no start is to blame for.
    assert statistics.median(gaps) < max(bare) + 0.1 + 1 / 30
    assert not viewer.gone
    state = await host.state("door")
    assert state["restarts"] == 5
    assert len(running_sources(host.layout)) == 1


def bare_start(program: Program) -> float:
    """Seconds from starting the same FFmpeg by hand to its first frame."""
    command = ["ffmpeg" if word == FFMPEG else word for word in program.argv[:-1]]
    began = time.monotonic()
    with subprocess.Popen([*command, "pipe:1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.read(1000)
        took = time.monotonic() - began
        process.kill()
    return took


async def test_a_stalled_source_is_replaced(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"), stall_timeout=0.5)
    viewer = Viewer(host, "door")
    await viewer.until(5)
    stalled = (await host.process("source.door")).pid
    os.kill(stalled, signal.SIGSTOP)
    state = await host.until_state("door", "Stalled")
    assert state["message"] == "no frame for 0.5s"
    await viewer.more()
    assert stalled not in running_sources(host.layout)
    assert len(running_sources(host.layout)) == 1


async def test_a_viewer_of_a_source_that_fails_is_told_why_at_once(host: Host) -> None:
    program = Program(argv=(FFMPEG, "-nostdin", "-v", "error", "-i", "/dev/nothing-here", "-f", "mpjpeg", "unix:x"))
    await host.camera("door", program, start_timeout=30.0)
    began = time.monotonic()
    with pytest.raises(TemporaryError, match=r"/dev/nothing-here: No such file or directory"):
        await anext(host.client.frames("door"))
    assert time.monotonic() - began < 5
    viewer = Viewer(host, "door")
    state = {}

    async def looping() -> bool:
        state.update(await host.state("door"))
        return state["reason"] == "CrashLoop"

    await until(looping, "it is in a crash loop", 20)
    assert state["state"] == "Failed"
    assert "No such file" in state["message"]
    assert not viewer.frames
    # It heals by what it is told next, and the viewer who waited sees it.
    await host.camera("door", picture(host.layout, "door"))
    await viewer.until(5)


async def test_a_source_that_never_delivers_is_given_its_time(host: Host) -> None:
    await host.camera("door", Program(argv=("sleep", "600")), start_timeout=0.5)
    viewer = Viewer(host, "door")
    state = await host.until_state("door", "Failed")
    assert state["reason"] == "StartTimeout"
    assert "no frame within 0.5s" in state["message"]
    viewer.subscription.close()


async def test_a_missing_device_is_said_and_comes(host: Host) -> None:
    await host.camera("door", None)
    assert (await host.state("door"))["state"] == "Missing"
    with pytest.raises(TemporaryError, match="no device with serial 1") as caught:
        await anext(host.client.frames("door"))
    assert caught.value.reason == "DeviceMissing"
    viewer = Viewer(host, "door")
    await host.camera("door", picture(host.layout, "door"))
    await viewer.until(3)
    await host.camera("door", None)
    # Answered when the device is free.
    assert running_sources(host.layout) == []
    assert not viewer.gone
    await host.camera("door", picture(host.layout, "door"))
    await viewer.more()


async def test_another_program_takes_over_and_the_viewer_stays(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"))
    viewer = Viewer(host, "door")
    await viewer.until(3)
    first = (await host.process("source.door")).pid
    await host.camera("door", picture(host.layout, "door", size="160x120"))

    async def smaller() -> bool:
        return (await host.state("door"))["width"] == 160

    await until(smaller, "the new size")
    await viewer.more()
    assert first not in running_sources(host.layout)
    assert len(running_sources(host.layout)) == 1
    assert (await host.state("door"))["restarts"] == 0
    # The same words again change nothing.
    second = (await host.process("source.door")).pid
    await host.camera("door", picture(host.layout, "door", size="160x120"))
    await viewer.more()
    assert (await host.process("source.door")).pid == second


async def test_a_killed_hub_takes_up_where_it_was(host: Host) -> None:
    for name in ("door", "yard"):
        await host.camera(name, picture(host.layout, name), on_demand=None)
    viewer = Viewer(host, "door")
    await viewer.until(5)
    before = running_sources(host.layout)
    os.kill((await host.process("hub")).pid, signal.SIGKILL)
    killed = time.monotonic()

    async def ended() -> bool:
        return (await host.process("hub")).stopped

    await until(ended, "supervisord noticed")
    await host.supervisor.start("hub")
    await viewer.more()
    print(f"\nhub killed: frames again after {time.monotonic() - killed:.2f} s")
    assert viewer.frames[-1].sequence < 100
    await host.until_state("yard", "Online")
    after = running_sources(host.layout)
    assert len(after) == 2
    assert not set(before) & set(after)


async def test_a_new_hub_stops_what_is_no_cameras(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"), on_demand=None)
    await host.until_state("door", "Online")
    os.kill((await host.process("hub")).pid, signal.SIGSTOP)
    os.kill((await host.process("hub")).pid, signal.SIGKILL)
    Path(host.layout.camera_file("door")).unlink()

    async def ended() -> bool:
        return (await host.process("hub")).stopped

    await until(ended, "supervisord noticed")
    await host.supervisor.start("hub")

    async def cleared() -> bool:
        return not running_sources(host.layout) and not Path(host.layout.input_socket("door")).exists()

    await until(cleared, "the source is stopped, and its sockets are gone")
    assert not Path(host.layout.output_socket("door")).exists()


async def test_a_removed_camera_ends_its_viewers_and_its_source(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"))
    viewer = Viewer(host, "door")
    frames = host.client.frames("door")
    await anext(frames)
    await viewer.until(3)
    await host.client.remove("door")
    assert running_sources(host.layout) == []
    assert not Path(host.layout.input_socket("door")).exists()
    assert not Path(host.layout.output_socket("door")).exists()
    assert [f async for f in frames][2:] == []
    assert viewer.gone
    with pytest.raises(PermanentError, match="no camera door"):
        await anext(host.client.frames("door"))
    await host.client.remove("door")
    # Its name is free again.
    await host.camera("door", picture(host.layout, "door"))
    assert (await host.client.snapshot("door")).data


async def test_a_hub_that_comes_back_opens_what_was_open_ahead_of_its_readers(host: Host) -> None:
    for name in ("door", "yard"):
        await host.camera(name, picture(host.layout, name), on_demand={"close_after": 5.0})
    for name in ("door", "yard"):
        await host.client.snapshot(name)
    # One was closed as nobody reads it, one is open.
    await host.client.remove("yard")
    await host.camera("yard", picture(host.layout, "yard"), on_demand={"close_after": 5.0})
    await host.until_state("yard", "Idle")
    await host.until_state("door", "Online")
    hub = await host.process("hub")
    os.kill(hub.pid, signal.SIGKILL)

    async def ended() -> bool:
        return (await host.process("hub")).stopped and (await host.process("source.door")).stopped

    await until(ended, "the source ends with its hub")
    await host.supervisor.start("hub")
    await host.until_state("door", "Online")
    assert (await host.state("yard"))["state"] == "Idle"
    # Nobody came.
    await host.until_state("door", "Idle")


async def test_one_bad_camera_file_is_that_cameras_failure_alone(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"), on_demand=None)
    Path(host.layout.camera_file("bad")).write_text('{"name": "bad", "program": 7}')
    Path(host.layout.camera_file("worse")).write_bytes(b"\xff\x00[[[")
    await host.supervisor.stop("hub")
    await host.supervisor.start("hub")
    await host.until_state("door", "Online")
    for name in ("bad", "worse"):
        state = await host.state(name)
        assert (state["state"], state["reason"]) == ("Failed", "BadFile")
        assert "apply the stack file again" in state["message"]
    await host.camera("bad", picture(host.layout, "bad"))
    assert (await host.client.snapshot("bad")).data


async def test_sockets_are_their_owners_alone_and_no_source_may_come_uninvited(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"))
    layout = host.layout
    for path in (layout.hub_socket, layout.input_socket("door"), layout.output_socket("door")):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    await asyncio.to_thread(expect_refusal, layout.input_socket("door"))
    viewer = Viewer(host, "door")
    await viewer.until(3)
    await asyncio.to_thread(expect_refusal, layout.input_socket("door"))
    await viewer.more()
    assert (await host.state("door"))["restarts"] == 0
    assert "delivers already" in host.log("hub")


def expect_refusal(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(5)
        channel.connect(path)
        with contextlib.suppress(ConnectionResetError):
            assert channel.recv(1) == b""

"""Recorders under real FFmpeg: no frame lost, no time wrong, and what a cut costs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.hub.conftest import Inside, until_true
from tests.hub.jpegs import segment
from vidops.api import FFMPEG, RUN_ID, CaptureContext, Frame
from vidops_plugins.captures.segments import Segments, build

pytestmark = pytest.mark.integration

RATE = 30
ALLOWED = 2.0
"""Seconds before a cut that may be lost."""


@pytest.fixture(scope="module")
def numbered() -> Callable[[int], bytes]:
    """A real picture of some 8 kB, with its number in a comment."""
    noise = "testsrc2=s=320x240,noise=alls=20"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", noise, "-frames:v", "1", "-q:v", "8", "-f", "mjpeg", "-"]
    plain = subprocess.run(command, capture_output=True, check=True).stdout

    def make(number: int) -> bytes:
        return plain[:2] + segment(0xFE, b"frame %08d" % number) + plain[2:]

    return make


@dataclass
class Recorder:
    process: subprocess.Popen[bytes]
    spool: Path
    suffix: str
    log: Path
    sizes: list[tuple[float, Path, int]] = field(default_factory=list)
    """How large the growing file was at what time (Unix seconds)."""

    def files(self) -> list[Path]:
        return sorted(self.spool.iterdir())

    def look(self) -> list[Path]:
        files = self.files()
        if files:
            self.sizes.append((time.time(), files[-1], files[-1].stat().st_size))
        return files


@asynccontextmanager
async def recording(inside: Inside, tmp_path: Path, **options: Any) -> AsyncIterator[Recorder]:
    spool = tmp_path / "spool"
    spool.mkdir(parents=True)
    log = tmp_path / "log"
    made = build(
        Segments.model_validate({"device": "door", "segment": options}),
        CaptureContext("archive", "door", inside.layout, str(spool)),
    )
    argv = ["ffmpeg" if word == FFMPEG else word.replace(RUN_ID, "1_1") for word in made.program.argv]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log.open("wb"))
    try:
        yield Recorder(process, spool, made.suffix, log)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def numbers(path: Path) -> list[int]:
    """The numbers of the frames that a player gets out of a file."""
    command = ["ffmpeg", "-v", "quiet", "-i", str(path), "-c", "copy", "-f", "image2pipe", "-"]
    data = subprocess.run(command, capture_output=True, check=False).stdout
    return [int(n) for n in re.findall(rb"frame (\d{8})", data)]


def number_of(picture: bytes) -> int:
    return int(picture[12:20])


def packet_times(path: Path) -> list[float]:
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", "packet=pts_time", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return [float(p["pts_time"]) for p in json.loads(done.stdout)["packets"]]


@pytest.mark.long
async def test_every_frame_is_in_the_segments_and_what_a_kill_costs(
    inside: Inside, tmp_path: Path, numbered: Callable[[int], bytes]
) -> None:
    inside.processes.picture, inside.processes.every = numbered, 1 / RATE
    await inside.camera()
    stamps: dict[int, float] = {}

    def note(frame: Frame) -> None:
        stamps[number_of(frame.data)] = frame.timestamp

    inside.client.subscribe("door", note)
    async with (
        recording(inside, tmp_path / "fmp4", format="fmp4", duration="2s") as first,
        recording(inside, tmp_path / "mkv", format="mkv", duration="2s") as second,
    ):
        both = (first, second)
        # Killed in the middle of their third files.
        await until_true(lambda: min(len(r.look()) for r in both) >= 3, "three files", 30)
        begun = time.time()
        await until_true(lambda: min(len(r.look()) for r in both) and time.time() > begun + 1.5, "half written", 30)
        sent = inside.state()["frames"]
        for recorder in both:
            recorder.process.send_signal(signal.SIGKILL)
    for recorder in both:
        await asyncio.to_thread(examine, recorder, sent, stamps)


def examine(recorder: Recorder, sent: int, stamps: dict[int, float]) -> None:
    assert recorder.log.read_text() == ""
    files = recorder.files()
    found = [numbers(path) for path in files]

    # No frame is missing from the first to the last.
    everything = [n for part in found for n in part]
    assert everything == list(range(everything[0], everything[0] + len(everything)))
    lost_by_kill = (sent - 1 - everything[-1]) / RATE
    assert lost_by_kill <= ALLOWED

    # Files begin where the clock says, and are as long as they should be.
    starts = [int(path.name.partition("-")[0]) for path in files]
    assert all(start % 2 == 0 for start in starts[1:]), starts
    for part in found[1:-1]:
        assert abs(len(part) - 2 * RATE) < RATE / 2

    # Every file begins at zero, and every frame has the time at which it was captured, to the millisecond.
    for path, part in list(zip(files, found, strict=True))[:-1]:
        times = packet_times(path)
        assert times[0] == pytest.approx(0, abs=0.0011)
        # A viewer on a busy machine may have skipped some.
        began = {round(stamps[n] - at, 3) for at, n in zip(times, part, strict=True) if n in stamps}
        assert max(began) - min(began) <= 0.0021
        assert min(b - a for a, b in itertools.pairwise(times)) > 0

    # The same for any cut of the file: what had been sent when it was that long, less two seconds.
    worst = cut_anywhere(recorder, files[-1], sent, found[-1])
    print(f"\n{recorder.suffix}: a kill cost {lost_by_kill:.2f} s of video, the worst cut {worst:.2f} s")


def cut_anywhere(recorder: Recorder, path: Path, sent: int, whole: list[int]) -> float:
    """Truncate copies at many places; seconds lost in the worst case."""
    dice = random.Random(1)
    history = [(at, size) for at, seen, size in recorder.sizes if seen == path]
    last_at = recorder.sizes[-1][0]
    copy = path.with_name(f"cut{recorder.suffix}")
    worst = 0.0
    for _ in range(12):
        size = dice.randrange(1000, path.stat().st_size)
        # When the file was that long, so many frames had been sent.
        at = next(when for when, length in history if length >= size)
        sent_then = sent - (last_at - at) * RATE
        shutil.copy(path, copy)
        os.truncate(copy, size)
        played = numbers(copy)
        assert played == whole[: len(played)]
        reached = played[-1] + 1 if played else whole[0]
        worst = max(worst, (sent_then - reached) / RATE)
        assert worst <= ALLOWED, f"cut at {size} of {path.stat().st_size} bytes"
    copy.unlink()
    return worst


@pytest.mark.parametrize("form", ["fmp4", "mkv"])
async def test_an_asked_end_loses_nothing_and_is_quick(
    inside: Inside, tmp_path: Path, numbered: Callable[[int], bytes], form: str
) -> None:
    inside.processes.picture, inside.processes.every = numbered, 1 / RATE
    await inside.camera()
    async with recording(inside, tmp_path, format=form, duration="60s") as recorder:
        await until_true(lambda: inside.state()["frames"] > 45, "one and a half seconds", 30)
        sent = inside.state()["frames"]
        recorder.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(asyncio.to_thread(recorder.process.wait), 3) in (0, 255)
    (path,) = recorder.files()[-1:]
    assert (await asyncio.to_thread(numbers, path))[-1] >= sent - 3


async def test_another_picture_size_ends_the_recorder_with_a_whole_file(
    inside: Inside, tmp_path: Path, numbered: Callable[[int], bytes]
) -> None:
    small = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48", "-frames:v", "1", "-f", "mjpeg", "-"],
        capture_output=True,
        check=True,
    ).stdout
    inside.processes.picture = lambda n: numbered(n) if n < 40 else small
    inside.processes.every = 1 / RATE
    await inside.camera()
    async with recording(inside, tmp_path, duration="60s") as recorder:
        assert await asyncio.wait_for(asyncio.to_thread(recorder.process.wait), 15) == 0
    found = [await asyncio.to_thread(numbers, path) for path in recorder.files()]
    assert [n for part in found for n in part] == list(range(40))

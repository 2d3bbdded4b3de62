"""When pictures are taken, what a ring holds, and which files come of motion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.ports import Frame
from vidops.recorder.moments import following, moments
from vidops.recorder.motion import MotionRecorder, Ring, Rules
from vidops.recorder.spool import Spool
from vidops.runtime.media import inspect


class WallClock:
    """Time that passes by sleeping, and is set by others. `steps`: by how much, at which sleep."""

    def __init__(self, now: float, steps: dict[int, float] | None = None) -> None:
        self.time = now
        self.steps = steps or {}
        self.slept = 0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds + self.steps.get(self.slept, 0.0)
        self.slept += 1


async def taken(clock: WallClock, every: float, count: int) -> list[float]:
    found = []
    async for _ in moments(clock, every):
        found.append(clock.now())
        if len(found) == count:
            break
    return found


async def test_at_once_and_then_by_the_clock() -> None:
    assert await taken(WallClock(103.4), 10, 4) == [103.4, 110, 120, 130]


async def test_a_clock_that_jumps_forward_leaves_moments_out() -> None:
    times = await taken(WallClock(100, {3: 3600}), 10, 3)
    assert times[1] == 3704
    assert times[2] == 3710


async def test_a_clock_that_is_set_back_is_followed() -> None:
    times = await taken(WallClock(5000, {3: -3600}), 10, 3)
    assert times[1:] == [1410, 1420]


@given(st.floats(0, 2e9), st.floats(1, 86400))
def test_the_following_moment_is_later_and_within_the_interval(now: float, every: float) -> None:
    due = following(now, every)
    assert now < due <= now + every * (1 + 1e-6) + 1e-6


@given(st.lists(st.tuples(st.floats(-2, 3), st.integers(1, 50)), min_size=1, max_size=40), st.floats(0, 5))
def test_a_ring_holds_the_newest_and_no_more(frames: list[tuple[float, int]], seconds: float) -> None:
    ring, now = Ring(seconds, limit=200), 100.0
    for number, (step, size) in enumerate(frames):
        now += step
        ring.add(Frame(b"x" * size, number, now))
        assert ring.bytes == sum(len(f.data) for f in ring.frames) <= 200
        times = [f.timestamp for f in ring.frames]
        assert times == sorted(times)
        assert not times or times[0] >= now - seconds
        assert not times or ring.frames[-1].sequence == number


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path), "1a_2b")


def frames(begin: float, count: int, fps: float = 10) -> Iterator[Frame]:
    for number in range(count):
        yield Frame(b"\xff\xd8 a picture \xff\xd9", number, begin + number / fps)


def clips(spool: Spool) -> list[tuple[str, int]]:
    found = []
    for name in sorted(os.listdir(spool.directory)):
        media = inspect(f"{spool.directory}/{name}")
        assert media is not None
        found.append((name, media.frames))
    return found


async def test_a_clip_begins_before_and_ends_after(spool: Spool) -> None:
    recorder = MotionRecorder(Rules(0.1, pre_roll=1, post_roll=2, longest=60), spool, lambda: (64, 48))
    for frame in frames(1000, 100):
        if frame.sequence == 30:
            recorder.scored(0.5, frame.timestamp)
        recorder.scored(0.01, frame.timestamp)
        recorder.take(frame)
    recorder.finish()
    # From a second before the thirtieth frame until two seconds after it.
    assert clips(spool) == [("1002-1a_2b.mkv", 31)]


async def test_what_goes_on_for_long_is_continued_without_a_hole(spool: Spool) -> None:
    recorder = MotionRecorder(Rules(0.1, pre_roll=1, post_roll=2, longest=3), spool, lambda: (64, 48))
    for frame in frames(1000, 80):
        recorder.scored(0.5, frame.timestamp)
        recorder.take(frame)
    recorder.finish()
    assert [count for _, count in clips(spool)] == [30, 30, 20]


async def test_another_size_or_clock_begins_another_clip(spool: Spool) -> None:
    size = [64]
    recorder = MotionRecorder(Rules(0.1, pre_roll=0, post_roll=60, longest=60), spool, lambda: (size[0], 48))
    recorder.scored(0.5, 1000)
    for frame in frames(1000, 10):
        recorder.take(frame)
    size[0] = 128
    for frame in frames(1010, 10):
        recorder.take(frame)
    for frame in frames(900, 10):
        recorder.take(frame)
    recorder.finish()
    assert clips(spool) == [("1000-1a_2b.mkv", 10), ("1010-1a_2b.mkv", 10), ("900-1a_2b.mkv", 10)]


async def test_what_the_disk_refuses_is_told(spool: Spool) -> None:
    recorder = MotionRecorder(Rules(0.1), Spool(f"{spool.directory}/gone", "1a_2b"), lambda: (64, 48))
    recorder.scored(0.5, 1000)
    for frame in frames(1000, 3):
        recorder.take(frame)
    with pytest.raises(FileNotFoundError):
        recorder.failed.result()


def test_stills_are_whole_and_never_overwritten(spool: Spool) -> None:
    Path(spool.directory, "left.new").write_bytes(b"half of one")
    spool.tidy()
    paths = [spool.put(b"%d" % n, 1000.5, ".jpg") for n in range(3)]
    assert [os.path.basename(p) for p in paths] == [f"{s}-1a_2b.jpg" for s in (1000, 1001, 1002)]
    assert [Path(p).read_bytes() for p in paths] == [b"0", b"1", b"2"]
    assert len(os.listdir(spool.directory)) == 3

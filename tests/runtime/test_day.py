"""A day of recording in seconds: real segments, a clock that is told, and the autumn night with an hour too many."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from vidops.resources.layout import Layout
from vidops.resources.specs import Retention
from vidops.runtime.index import ATTRIBUTE, FOUND, NO_FRAMES, Hole, Recording, RecordingsIndex, Wanted
from vidops.runtime.keeper import Keeper
from vidops.runtime.playlist import timeline
from vidops.runtime.segments import CaptureFiles

pytestmark = pytest.mark.integration

MINUTES = 24 * 60
FPS = 5
# The evening before the clocks are set back from 03:00 to 02:00.
BEGIN = int(datetime(2026, 10, 24, 18, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())


@pytest.fixture
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.long
@pytest.mark.usefixtures("berlin")
def test_a_day_is_complete_contiguous_and_retained_to_the_minute(layout: Layout, tmp_path: Path) -> None:
    sample = tmp_path / "minute.mp4"
    source = ["-f", "lavfi", "-i", f"testsrc=size=64x48:rate={FPS}:duration=60", "-c:v", "mjpeg", "-q:v", "31"]
    movflags = ["-movflags", "+empty_moov+default_base_moof", "-frag_duration", "1000000"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *movflags, str(sample)], check=True)
    size = sample.stat().st_size

    def begun(minute: int, capture: CaptureFiles) -> None:
        """A segment that was finished a minute after it was begun."""
        path = f"{capture.spool}/{BEGIN + 60 * minute}-zzzzz_1.mp4"
        shutil.copyfile(sample, path)
        os.utime(path, (BEGIN + 60 * minute + 60,) * 2)

    captures = [
        CaptureFiles("by-age", "cam", layout.spool("by-age"), ".mp4", "age/%d-%H-%M"),
        CaptureFiles("by-size", "cam", layout.spool("by-size"), ".mp4", "size/%d-%H-%M"),
    ]
    rules = {"by-age": Retention(max_age=6 * 3600), "by-size": Retention(max_size=100 * size + size // 2)}
    for capture in captures:
        os.makedirs(capture.spool)
    keeper = Keeper(layout)
    index = RecordingsIndex(layout)
    filed: dict[str, list[tuple[float, float]]] = {"by-age": [], "by-size": []}
    for minute in range(MINUTES):
        now = BEGIN + 60.0 * (minute + 1)
        for capture in captures:
            begun(minute, capture)
        report = keeper.sweep(captures)
        assert report.troubles == []
        for recording in report.finished:
            assert (recording.frames, recording.codec, recording.gap) == (60 * FPS, "mjpeg", 0.0)
            filed[recording.capture].append((recording.start, recording.end))
        assert keeper.clear(rules, now).troubles == []
        if minute % 97 == 0 or minute == MINUTES - 1:
            left = {name: index.newest(Wanted(capture=name, limit=2000)) for name in rules}
            # Six hours of ends, the hundred newest; not one more or less.
            assert len(left["by-age"]) == min(minute + 1, 361)
            assert len(left["by-size"]) == min(minute + 1, 100)
            assert min(r.end for r in left["by-age"]) >= now - 6 * 3600
            on_disk = {str(p.relative_to(layout.data_dir)) for p in Path(layout.data_dir).rglob("[0-9]*.mp4")}
            assert {p for p in on_disk if not p.startswith(".spool")} == {
                r.path for rows in left.values() for r in rows
            }
    for spans in filed.values():
        assert len(spans) == MINUTES
        assert all(after[0] == pytest.approx(before[1], abs=1 / FPS) for before, after in pairwise(spans))
        assert spans[-1][1] - spans[0][0] == pytest.approx(MINUTES * 60, abs=2 / FPS)
    index.close()
    keeper.close()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_last_segment_of_one_frame_lasts_as_long_as_its_frame(layout: Layout, tmp_path: Path, suffix: str) -> None:
    capture = CaptureFiles("all", "cam", layout.spool("all"), suffix, "%s")
    os.makedirs(capture.spool)
    fragments = ["-movflags", "+empty_moov+default_base_moof"] if suffix == ".mp4" else []
    for start, frames in ((BEGIN, FPS), (BEGIN + 1, 1)):
        path = f"{capture.spool}/{start}-zzzzz_1{suffix}"
        source = ["-f", "lavfi", "-i", f"testsrc=size=64x48:rate={FPS}", "-frames:v", str(frames), "-c:v", "mjpeg"]
        subprocess.run(["ffmpeg", "-v", "error", *source, *fragments, path], check=True)
        os.utime(path, (start + frames / FPS,) * 2)
    keeper = Keeper(layout)
    before, last = keeper.sweep([capture]).finished
    keeper.close()
    assert (last.frames, last.start) == (1, pytest.approx(before.end, abs=0.011))
    assert last.end - last.start == pytest.approx(1 / FPS, abs=0.001)


def test_what_is_missing_within_a_segment_is_told_and_noted(layout: Layout) -> None:
    """Frames 5 to 14 of 25, at 5 a second: two seconds without a picture, of which somebody knew why."""
    capture = CaptureFiles("all", "cam", layout.spool("all"), ".mkv", "%s")
    os.makedirs(capture.spool)
    path = f"{capture.spool}/{BEGIN}-zzzzz_1.mkv"
    source = ["-f", "lavfi", "-i", f"testsrc=size=64x48:rate={FPS}", "-vf", "select='not(between(n,5,14))'"]
    frames = ["-fps_mode", "passthrough", "-frames:v", "15", "-c:v", "mjpeg"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *frames, path], check=True)
    os.utime(path, (BEGIN + 5,) * 2)
    asked: list[tuple[str, float, float]] = []

    def why(name: str, begin: float, end: float) -> str:
        asked.append((name, begin, end))
        return "CameraStalled"

    keeper = Keeper(layout, why)
    (recording,) = keeper.sweep([capture]).finished
    assert recording.holes == (Hole(BEGIN + 1.0, BEGIN + 3.0, "CameraStalled"),)
    assert asked == [("all", pytest.approx(BEGIN + 1.0), pytest.approx(BEGIN + 3.0))]
    # The index says it after a new start, and one that is made anew from the file's own notes.
    for lost in (False, True):
        keeper.close()
        if lost:
            os.unlink(layout.recordings_index)
        keeper = Keeper(layout)
        keeper.reconcile([capture])
        index = RecordingsIndex(layout)
        assert index.newest() == [recording]
        index.close()
    keeper.close()
    # Without notes the file itself still says where, though nobody why; but not where its time is not the camera's.
    os.removexattr(f"{layout.data_dir}/{recording.path}", ATTRIBUTE)
    for realtime, holes in ((True, (Hole(BEGIN + 1.0, BEGIN + 3.0, NO_FRAMES),)), (False, ())):
        os.unlink(layout.recordings_index)
        index = RecordingsIndex(layout)
        index.reconcile([replace(capture, realtime=realtime)])
        (found,) = index.newest()
        assert (found.reason, found.start, found.holes) == (FOUND, BEGIN, holes)
        index.close()
    (line,) = timeline([recording])
    assert line["spans"] == [{"start": BEGIN, "end": BEGIN + 1.0}, {"start": BEGIN + 3.0, "end": BEGIN + 5.0}]
    assert line["gaps"] == [{"start": BEGIN + 1.0, "end": BEGIN + 3.0, "reason": "CameraStalled"}]


def test_what_one_file_lacks_another_may_have() -> None:
    def row(start: float, end: float, *holes: tuple[float, float]) -> Recording:
        told = tuple(Hole(*hole, "x") for hole in holes)
        return Recording(f"{start}", "cam", "c", start, end, 1, "complete", holes=told)

    def spans(*rows: Recording) -> list[tuple[float, float]]:
        (line,) = timeline(rows)
        found: Any = line["spans"]
        return [(span["start"], span["end"]) for span in found]

    assert spans(row(0, 60), row(10, 20, (12, 14))) == [(0, 60)]
    assert spans(row(0, 60), row(59.5, 119.5, (59.7, 60.2))) == [(0, 60), (60.2, 119.5)]
    assert spans(row(0, 60, (10, 20), (30, 40)), row(60, 70)) == [(0, 10), (20, 30), (40, 70)]


@pytest.mark.usefixtures("berlin")
def test_an_hour_that_comes_twice_is_filed_twice(layout: Layout, tmp_path: Path) -> None:
    sample = tmp_path / "short.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1", "-c:v", "mjpeg"]
    subprocess.run(
        ["ffmpeg", "-v", "error", *source, "-movflags", "+empty_moov+default_base_moof", str(sample)], check=True
    )
    capture = CaptureFiles("all", "cam", layout.spool("all"), ".mp4", "%H-%M")
    os.makedirs(capture.spool)
    first = int(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
    for start in (first, first + 3600):
        shutil.copyfile(sample, f"{capture.spool}/{start}-zzzzz_1.mp4")
    keeper = Keeper(layout)
    assert sorted(r.path for r in keeper.sweep([capture]).finished) == ["02-30-1.mp4", "02-30.mp4"]
    keeper.close()

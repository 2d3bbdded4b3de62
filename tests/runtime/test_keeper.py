"""The keeper and the index on what real recorders write, leave half done, and lose.

Over 400 lines, since all of it is about one class and starts from the same recorders.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import until
from vidops.resources.layout import Layout
from vidops.runtime.exec import run_id
from vidops.runtime.files import atomic_write
from vidops.runtime.index import Reconciled, Recording, RecordingsIndex, Wanted
from vidops.runtime.keeper import ABOUT, Keeper, Sweep
from vidops.runtime.recordings import RecordingsReader
from vidops.runtime.segments import CaptureFiles

pytestmark = pytest.mark.integration

RUNNER = """
import os, sys
from vidops.runtime.exec import run_id
os.execvp(sys.argv[1], [a.replace("@run@", run_id(os.getpid())) for a in sys.argv[1:]])
"""
# flush_packets must reach the inner muxer: the segment muxer's own option leaves 32 kB in FFmpeg's buffer.
FORMATS = {
    ".mp4": ("mp4", "movflags=+frag_every_frame+empty_moov+default_base_moof:flush_packets=1"),
    ".mkv": ("matroska", "cluster_time_limit=500:flush_packets=1"),
}
TEMPLATE = "{device}/%Y-%m-%d/%H-%M-%S"
JPEG = b"\xff\xd8\xff\xe0 a picture, as far as its form goes"


@pytest.fixture
def keeper(layout: Layout) -> Iterator[Keeper]:
    it = Keeper(layout)
    yield it
    it.close()


def capture(layout: Layout, name: str = "archive", suffix: str = ".mp4", path: str = TEMPLATE) -> CaptureFiles:
    return CaptureFiles(name, "door", layout.spool(name), suffix, path)


def record(files: CaptureFiles, seconds: int = 2) -> subprocess.Popen[bytes]:
    """A recorder as the exec shim would start it."""
    os.makedirs(files.spool, exist_ok=True)
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi"]
    kind, options = FORMATS[files.suffix]
    argv += ["-i", "testsrc=size=160x120:rate=15", "-c:v", "mjpeg", "-f", "segment", "-segment_time", str(seconds)]
    argv += ["-strftime", "1", "-reset_timestamps", "1", "-segment_format", kind, "-segment_format_options", options]
    return subprocess.Popen([sys.executable, "-c", RUNNER, *argv, f"{files.spool}/%s-@run@{files.suffix}"])


def frames(path: str) -> int:
    """Frames that a player gets out of a file."""
    argv = ["ffprobe", "-v", "quiet", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip().split(",")[0])


def left_behind(files: CaptureFiles, content: bytes, start: int = 1_700_000_000) -> Path:
    """A segment whose recorder is long gone."""
    os.makedirs(files.spool, exist_ok=True)
    path = Path(files.spool, f"{start}-zzzzz_1{files.suffix}")
    path.write_bytes(content)
    return path


def listed(layout: Layout) -> list[tuple[object, object]]:
    return [(r["path"], r["finished"]) for r in RecordingsReader(layout).list_now()]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
async def test_a_recorder_killed_with_9_loses_nothing_that_was_written(
    layout: Layout, keeper: Keeper, suffix: str
) -> None:
    files = capture(layout, suffix=suffix)
    recorder = record(files)
    sweeps: list[Sweep] = []

    def finished() -> list[Recording]:
        sweeps.append(keeper.sweep([files]))
        assert not sweeps[-1].troubles
        return [recording for sweep in sweeps for recording in sweep.finished]

    try:
        await until(finished, "the first segment is filed while the second grows", 20)

        def growing() -> int:
            finished()
            sizes = [r["bytes"] for r in RecordingsReader(layout).list_now(Wanted(camera="door")) if not r["finished"]]
            return int(str(sizes[0])) if len(sizes) == 1 else 0

        await until(lambda: growing() > 20_000, "the next one has pictures, too")
    finally:
        recorder.send_signal(signal.SIGKILL)
        recorder.wait()
    assert growing() == 0
    assert len(finished()) >= 2

    entries = await RecordingsReader(layout).list()
    assert len(entries) == len(finished())
    assert [e["start"] for e in entries] == sorted((e["start"] for e in entries), reverse=True)  # type: ignore[type-var]
    for recording in finished():
        path = f"{layout.data_dir}/{recording.path}"
        assert recording.path.startswith("door/20")
        assert os.stat(path).st_size == recording.bytes
        assert frames(path) >= 5, path
    assert finished()[0].reason == "complete"
    assert finished()[-1].reason == "ended"
    assert frames(f"{layout.data_dir}/{finished()[0].path}") == 30


async def test_the_last_segment_of_a_recorder_that_ends_well(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout)
    recorder = record(files, seconds=60)
    await until(lambda: keeper.sweep([files]) and keeper.grown(files.spool) > 10_000, "it records")
    assert [finished for _, finished in listed(layout)] == [False]
    recorder.terminate()
    recorder.wait()
    (recording,) = keeper.sweep([files]).finished
    assert listed(layout) == [(recording.path, True)]
    assert abs(recording.end - time.time()) < 10
    assert recording.start <= recording.end


async def test_a_recorder_behind_a_shell_is_not_taken_for_ended(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout)
    os.makedirs(files.spool)
    script = f'exec 3>"{files.spool}/1700000000-@run@.mp4"; sleep 1000 3>&3 & exec 3>&-; echo up; wait'
    argv = [sys.executable, "-c", RUNNER, "sh", "-c", script]
    shell = subprocess.Popen(argv, stdout=subprocess.PIPE, process_group=0)
    assert shell.stdout
    try:
        assert await asyncio.to_thread(shell.stdout.readline) == b"up\n"
        for _ in range(3):
            report = keeper.sweep([files])
            assert (report.finished, report.removed) == ([], [])
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        shell.stdout.close()
    # The child may be a moment behind its shell; the run is over with the shell.
    assert len(keeper.sweep([files]).removed) == 1


def test_files_without_a_picture_are_removed_and_foreign_ones_are_not(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout)
    left_behind(files, b"")
    left_behind(files, b"\0\0\0\x08ftyp", start=1_700_000_001)
    foreign = Path(files.spool, "notes.txt")
    foreign.write_text("mine")
    odd = Path(os.fsdecode(os.fsencode(files.spool) + b"/\xff\xfe.mp4"))
    odd.write_bytes(JPEG)
    report = keeper.sweep([files])
    assert len(report.removed) == 2
    assert not report.troubles
    assert sorted(os.listdir(files.spool)) == sorted([ABOUT, foreign.name, odd.name])


def test_nothing_is_overwritten(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg", path="{device}/latest")
    for number in range(3):
        left_behind(files, JPEG + b"%d" % number, start=1_700_000_000 + number)
        keeper.sweep([files])
    folder = Path(layout.data_dir, "door")
    assert {p.name: p.read_bytes()[-1:] for p in folder.iterdir()} == {
        "latest.jpg": b"0", "latest-1.jpg": b"1", "latest-2.jpg": b"2",
    }  # fmt: skip
    assert [path for path, _ in listed(layout)] == ["door/latest-2.jpg", "door/latest-1.jpg", "door/latest.jpg"]


def test_a_link_does_not_lead_out_of_the_data_directory(layout: Layout, keeper: Keeper) -> None:
    outside = Path(layout.run_dir, "outside")
    outside.mkdir()
    os.makedirs(layout.data_dir)
    os.symlink(outside, f"{layout.data_dir}/door")
    files = capture(layout, suffix=".jpg")
    source = left_behind(files, JPEG)
    (trouble,) = keeper.sweep([files]).troubles
    assert trouble.code == "EXDEV"
    assert source.exists()
    assert list(outside.iterdir()) == []
    os.unlink(f"{layout.data_dir}/door")
    assert len(keeper.sweep([files]).finished) == 1


def test_a_bad_template_is_told_and_heals_with_the_next(layout: Layout, keeper: Keeper) -> None:
    source = left_behind(capture(layout, suffix=".jpg"), JPEG)
    for _ in range(2):
        (trouble,) = keeper.sweep([capture(layout, suffix=".jpg", path="../%s")]).troubles
        assert trouble.code == "BadPath"
        assert "must stay below" in trouble.message
    assert source.exists()
    assert len(keeper.sweep([capture(layout, suffix=".jpg")]).finished) == 1


def test_a_capture_that_is_no_longer_asked_for_is_finished_and_cleaned_up(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    left_behind(files, JPEG)
    Path(files.spool, ABOUT).write_text(json.dumps(files.to_json()))
    assert len(Keeper(layout).sweep([]).finished) == 1
    keeper.sweep([])
    assert not os.path.exists(files.spool)


def test_a_segment_belongs_to_the_camera_it_was_begun_for(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    os.makedirs(files.spool)
    growing = Path(files.spool, f"1700000000-{run_id(os.getpid())}.jpg")
    with growing.open("wb") as file:
        file.write(JPEG)
        file.flush()
        assert keeper.sweep([files]).finished == []
    other = CaptureFiles(files.name, "gate", files.spool, files.suffix, files.path)
    (recording,) = keeper.sweep([other]).finished
    assert recording.camera == "door"


@pytest.mark.parametrize("loss", ["removed", "garbage", "notes lost, too"])
def test_a_lost_index_is_rebuilt_from_the_files(layout: Layout, loss: str) -> None:
    keeper = Keeper(layout)
    files = capture(layout, suffix=".jpg")
    for number in range(5):
        left_behind(files, JPEG, start=1_700_000_000 + number)
        keeper.sweep([files])
    before = RecordingsReader(layout).list_now()
    assert len(before) == 5
    keeper.close()
    index = Path(layout.recordings_index)
    if loss == "garbage":
        index.write_bytes(b"garbage" * 5000)
    else:
        for path in index.parent.iterdir():
            path.unlink()
    if loss == "notes lost, too":
        for entry in before:
            os.removexattr(f"{layout.data_dir}/{entry['path']}", "user.vidops")
    assert RecordingsReader(layout).list_now() == []

    keeper = Keeper(layout)
    assert keeper.sweep([files]).stale
    assert keeper.reconcile([files]) == Reconciled(added=5)
    assert not keeper.sweep([files]).stale
    after = RecordingsReader(layout).list_now()
    if loss == "notes lost, too":
        before = [{**entry, "reason": "found"} for entry in before]
    assert after == before
    assert keeper.reconcile([files]) == Reconciled()
    keeper.close()


def test_an_index_lost_while_it_is_open_is_noticed(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    left_behind(files, JPEG)
    assert keeper.sweep([files]).stale
    for path in Path(layout.recordings_index).parent.iterdir():
        path.unlink()
    left_behind(files, JPEG, start=1_700_000_100)
    report = keeper.sweep([files])
    assert report.stale
    assert len(report.finished) == 1
    assert keeper.reconcile([files]) == Reconciled(added=1)
    assert len(listed(layout)) == 2


def test_disagreements_with_the_disk_are_mended(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    for number in range(3):
        left_behind(files, JPEG, start=1_700_000_000 + number)
    kept, removed, moved = (r.path for r in keeper.sweep([files]).finished)
    os.unlink(f"{layout.data_dir}/{removed}")
    os.makedirs(f"{layout.data_dir}/by hand")
    os.rename(f"{layout.data_dir}/{moved}", f"{layout.data_dir}/by hand/x.jpg")
    assert (removed, True) not in listed(layout), "not even before it is reconciled"
    # None of these is a recording: empty, without a picture, hidden, of another kind, a link, a directory.
    root = Path(layout.data_dir)
    (root / "empty.mp4").write_bytes(b"")
    (root / "garbage.mp4").write_bytes(os.urandom(1000))
    (root / ".hidden.jpg").write_bytes(JPEG)
    (root / "notes.txt").write_text("mine")
    (root / "link.jpg").symlink_to(root / kept)
    (root / "folder.jpg").mkdir()
    (root / "loop").symlink_to(root)
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.jpg")).write_bytes(JPEG)
    assert keeper.reconcile([files]) == Reconciled(added=1, dropped=2)
    assert {path for path, _ in listed(layout)} == {kept, "by hand/x.jpg"}
    (found,) = (r for r in RecordingsReader(layout).list_now() if r["path"] == "by hand/x.jpg")
    assert (found["camera"], found["start"]) == ("door", 1_700_000_002.0), "its notes went with it"


def test_a_crash_between_filing_and_indexing_heals(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    # After the second name was made and before the first was taken away; and before the index was told.
    source = left_behind(files, JPEG)
    target = Path(layout.data_dir, time.strftime("door/%Y-%m-%d/%H-%M-%S.jpg", time.localtime(1_700_000_000)))
    target.parent.mkdir(parents=True)
    os.link(source, target)
    (recording,) = keeper.sweep([files]).finished
    assert recording.path == str(target.relative_to(layout.data_dir))
    assert not source.exists()
    # After the first was taken away, and before the index was told.
    os.rename(target, target.with_name("00-00-00.jpg"))
    assert keeper.reconcile([files]) == Reconciled(added=1, dropped=1)
    assert len(listed(layout)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only directories")
def test_a_directory_that_cannot_be_written_is_told(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    left_behind(files, JPEG)
    os.chmod(layout.data_dir, 0o500)
    assert {t.code for t in keeper.sweep([files]).troubles} == {"EACCES"}
    os.chmod(layout.data_dir, 0o700)
    assert len(keeper.sweep([files]).finished) == 1


FULL = """
import json, resource, signal, sys
from vidops.resources.layout import Layout
from vidops.runtime.keeper import Keeper
from vidops.runtime.segments import CaptureFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
report = Keeper(Layout(*sys.argv[1:4])).sweep([CaptureFiles(**json.loads(sys.argv[4]))])
print(json.dumps([t.code for t in report.troubles]))
"""


def test_a_disk_that_takes_nothing_is_told_and_nothing_is_lost(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    left_behind(files, JPEG)
    argv = [sys.executable, "-c", FULL, layout.run_dir, layout.state_dir, layout.data_dir, json.dumps(files.to_json())]
    codes = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert codes
    assert len(keeper.sweep([files]).finished) + keeper.reconcile([files]).added == 1
    assert len(listed(layout)) == 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


def test_recordings_are_for_their_owner_alone(layout: Layout, keeper: Keeper) -> None:
    mask = os.umask(0o077)
    try:
        files = capture(layout, suffix=".jpg")
        left_behind(files, JPEG)
        keeper.sweep([files])
    finally:
        os.umask(mask)
    for path in Path(layout.data_dir).rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize(
    "holes",
    [
        [[float("nan"), float("nan"), "x"]],
        [[100, 200, "outside"]],
        [[1.5, 1.2, "backwards"]],
        [[1.5, 1.6, "x"], [1.2, 1.3, "no order"]],
        [["1", "2"]],
        [int("9" * 400)],
        [[int("9" * 400), 1, "x"]],
        {"a": 1},
        "text",
        7,
    ],
)
def test_notes_that_say_nonsense_are_not_believed(layout: Layout, holes: object) -> None:
    path = f"{layout.data_dir}/x.jpg"
    os.makedirs(layout.data_dir, exist_ok=True)
    atomic_write(path, JPEG)
    about = {"camera": "cam", "capture": "c", "start": 1.0, "end": 2.0, "reason": "complete", "holes": holes}
    os.setxattr(path, "user.vidops", json.dumps(about).encode())
    index = RecordingsIndex(layout)
    assert index.reconcile().trouble == ""
    (row,) = index.newest()
    assert (row.reason, row.holes) == ("found", ())
    index.close()


def test_the_newest_come_first_by_camera_and_limit(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    rows = [Recording(f"{n}.jpg", f"cam-{n % 2}", "c", float(n), n + 1.0, 10, "complete") for n in range(10)]
    index.add(rows)
    for row in rows:
        atomic_write(f"{layout.data_dir}/{row.path}", JPEG)
    reader = RecordingsReader(layout)
    assert [r["path"] for r in reader.list_now(Wanted(camera="cam-1", limit=3))] == ["9.jpg", "7.jpg", "5.jpg"]
    assert [r["path"] for r in reader.list_now(Wanted(limit=2))] == ["9.jpg", "8.jpg"]
    assert reader.list_now(Wanted(camera="nobody")) == []
    assert reader.list_now(Wanted(limit=-5)) == []
    assert reader.list_now(Wanted(limit=1))[0] == {
        "path": "9.jpg", "camera": "cam-1", "capture": "c", "start": 9.0, "end": 10.0, "bytes": 10,
        "reason": "complete", "kept": False, "frames": 0, "codec": "", "gap": 0.0, "gap_reason": "", "holes": (),
            "finished": True,
    }  # fmt: skip
    index.close()


def test_nothing_recorded_yet(layout: Layout, keeper: Keeper) -> None:
    assert RecordingsReader(layout).list_now() == []
    report = keeper.sweep([capture(layout)])
    assert (report.finished, report.removed, report.troubles) == ([], [], [])
    assert keeper.grown(layout.spool("archive")) == 0


def test_an_index_damaged_while_it_is_open_is_moved_aside_and_rebuilt(layout: Layout, keeper: Keeper) -> None:
    files = capture(layout, suffix=".jpg")
    left_behind(files, JPEG)
    keeper.sweep([files])
    # More than SQLite holds in memory, so that it must read what is no longer there.
    index = RecordingsIndex(layout)
    index.add([Recording(f"{n}.jpg", f"cam-{n % 7}", "c" * 50, n, n, 1, "complete") for n in range(40_000)])
    index.close()
    with contextlib.closing(sqlite3.connect(layout.recordings_index)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(layout.recordings_index, 8192)

    left_behind(files, JPEG, start=1_700_000_100)
    (trouble,) = keeper.sweep([files]).troubles
    assert trouble.code == "BadIndex"
    report = keeper.sweep([files])
    assert report.stale
    assert len(report.finished) == 1
    assert keeper.reconcile([files]) == Reconciled(added=1)
    assert not keeper.sweep([files]).stale
    assert len(listed(layout)) == 2

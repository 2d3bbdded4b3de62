"""Retention on a real disk: what goes, what stays, and that nothing outside of the data directory ever does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidops.resources.layout import Layout
from vidops.resources.specs import Retention
from vidops.runtime.files import atomic_write
from vidops.runtime.index import Recording, RecordingsIndex
from vidops.runtime.retention import Cleared, clear, remove_recording

NOW = 1_700_000_000.0


def record(
    layout: Layout, index: RecordingsIndex, path: str, age: float, *, capture: str = "door", size: int = 100
) -> str:
    os.makedirs(os.path.dirname(f"{layout.data_dir}/{path}"), exist_ok=True)
    atomic_write(f"{layout.data_dir}/{path}", b"x" * size)
    index.add([Recording(path, "cam", capture, NOW - age, NOW - age, size, "complete")])
    return path


def clear_now(index: RecordingsIndex, rules: dict[str, Retention], free: int = 1 << 40, rounds: int = 50) -> Cleared:
    return clear(index, rules, now=NOW, free=lambda: free, rounds=rounds)


def there(layout: Layout) -> set[str]:
    root = Path(layout.data_dir)
    return {str(p.relative_to(root)) for p in root.rglob("*.mp4")}


def test_files_rows_and_empty_directories_go(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    record(layout, index, "cam/mon/1.mp4", 300)
    record(layout, index, "cam/tue/2.mp4", 200)
    record(layout, index, "cam/tue/3.mp4", 50)
    report = clear_now(index, {"door": Retention(max_age=100)})
    assert [item.clip.path for item in report.removed] == ["cam/mon/1.mp4", "cam/tue/2.mp4"]
    assert there(layout) == {"cam/tue/3.mp4"}
    assert not os.path.exists(f"{layout.data_dir}/cam/mon")
    assert [r.path for r in index.newest()] == ["cam/tue/3.mp4"]


def test_who_is_left_with_nothing(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    for capture in ("large", "small", "unruled"):
        record(layout, index, f"{capture}.mp4", 100, capture=capture)
    rules = {"large": Retention(max_size=99), "small": Retention(max_size=100), "unruled": Retention()}
    report = clear_now(index, rules)
    assert [(item.clip.capture, item.why) for item in report.removed] == [("large", "MaxSize")]
    assert report.bare == {"large"}
    # As long as there is nothing, that does not change.
    assert clear_now(index, rules).bare == {"large"}
    record(layout, index, "large-2.mp4", 50, capture="large", size=99)
    assert clear_now(index, rules).bare == set()


def test_kept_ones_stay_and_do_not_count(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    for number in range(4):
        record(layout, index, f"{number}.mp4", 400 - 100 * number)
    assert index.keep("0.mp4", True)
    clear_now(index, {"door": Retention(max_size=200, max_age=250)})
    assert there(layout) == {"0.mp4", "2.mp4", "3.mp4"}
    assert index.keep("0.mp4", False)
    clear_now(index, {"door": Retention(max_size=200)})
    assert there(layout) == {"2.mp4", "3.mp4"}
    assert not index.keep("gone.mp4", True)


def test_kept_outlives_the_index(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    record(layout, index, "1.mp4", 10)
    if not index.keep("1.mp4", True) or "user.vidops" not in os.listxattr(f"{layout.data_dir}/1.mp4"):
        pytest.skip("this file system keeps no notes on files")
    index.close()
    os.unlink(layout.recordings_index)
    again = RecordingsIndex(layout)
    _make_playable(f"{layout.data_dir}/1.mp4")
    again.reconcile()
    found = again.find("1.mp4")
    assert found is not None
    assert found.kept


def _make_playable(path: str) -> None:
    """Give a file what makes it a recording, in place, so that its notes stay on it."""
    boxes = b"\0\0\0\x10moov" + b"\0" * 8 + b"\0\0\0\x20mdat" + b"\0" * 24
    with open(path, "r+b") as file:
        file.write(boxes)


def test_an_archive_far_beyond_its_limit_is_worked_off(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    for number in range(450):
        record(layout, index, f"{number // 100}/{number:03}.mp4", 1000 - number, size=10)
    assert len(clear_now(index, {"door": Retention(max_size=100)}, rounds=1).removed) == 200
    assert len(clear_now(index, {"door": Retention(max_size=100)}).removed) == 240
    assert there(layout) == {f"4/{number:03}.mp4" for number in range(440, 450)}


def test_others_are_left_alone(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    record(layout, index, "a.mp4", 1000, capture="no-rule")
    record(layout, index, "b.mp4", 1000, capture="removed-from-the-file")
    assert clear_now(index, {"no-rule": Retention(), "door": Retention(max_age=1)}).removed == []
    assert there(layout) == {"a.mp4", "b.mp4"}


def test_a_row_without_a_file_goes(layout: Layout) -> None:
    index = RecordingsIndex(layout)
    os.unlink(f"{layout.data_dir}/{record(layout, index, 'x/a.mp4', 1000)}")
    assert len(clear_now(index, {"door": Retention(max_age=1)}).removed) == 1
    assert index.newest() == []


def test_links_lead_nowhere(layout: Layout, tmp_path: Path) -> None:
    index = RecordingsIndex(layout)
    outside = tmp_path / "theirs"
    outside.mkdir()
    (outside / "a.mp4").write_bytes(b"precious")
    record(layout, index, "cam/a.mp4", 1000)
    os.unlink(f"{layout.data_dir}/cam/a.mp4")
    os.rmdir(f"{layout.data_dir}/cam")
    os.symlink(outside, f"{layout.data_dir}/cam")
    report = clear_now(index, {"door": Retention(max_age=1)})
    assert report.removed == []
    assert [path for path, _ in report.troubles] == ["cam/a.mp4"]
    assert (outside / "a.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("path", ["../a.mp4", "/etc/passwd", "a//b.mp4", "./a.mp4", "a/../../b.mp4", ".index/x", ""])
def test_paths_that_lead_out_are_refused(layout: Layout, path: str) -> None:
    with pytest.raises(OSError, match="not a path below"):
        remove_recording(layout.data_dir, path)


def test_a_link_in_place_of_a_file_is_no_recording(layout: Layout, tmp_path: Path) -> None:
    precious = tmp_path / "a.mp4"
    precious.write_bytes(b"precious")
    os.makedirs(layout.data_dir, exist_ok=True)
    os.symlink(precious, f"{layout.data_dir}/a.mp4")
    with pytest.raises(OSError, match="not a plain file"):
        remove_recording(layout.data_dir, "a.mp4")
    assert precious.read_bytes() == b"precious"

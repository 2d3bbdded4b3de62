"""Names of segments, forwards and backwards; files of any content."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.runtime.exec import run_id
from vidops.runtime.segments import CaptureFiles, Spooled, destination, identify, playable, spooled


def capture(path: str, *, utc: bool = True, suffix: str = ".mp4") -> CaptureFiles:
    return CaptureFiles("door-archive", "door", "/data/.spool/door-archive", suffix, path, utc)


START = 1_767_323_045  # 2026-01-02 03:04:05 UTC


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{device}/%Y-%m-%d/%H-%M-%S", "door/2026-01-02/03-04-05.mp4"),
        ("{capture}/%s", "door-archive/1767323045.mp4"),
        ("%F_%T", "2026-01-02_03:04:05.mp4"),
        ("a/%Y%m%dT%H%M%S 100%% of {device}", "a/20260102T030405 100% of door.mp4"),
        ("%Y/%j/%Y-%m-%d %H.%M.%S", "2026/002/2026-01-02 03.04.05.mp4"),
    ],
)
def test_where_a_segment_goes_and_back(template: str, path: str) -> None:
    made = capture(template)
    assert destination(made, START) == path
    assert identify(made, path) == START
    assert identify(made, path.replace(".mp4", "-12.mp4")) == START
    assert identify(made, path.replace(".mp4", ".mkv")) is None
    assert identify(made, "x/" + path) is None


def test_local_time() -> None:
    made = capture("%Y-%m-%d %H:%M:%S", utc=False)
    assert destination(made, START) == time.strftime("%Y-%m-%d %H:%M:%S.mp4", time.localtime(START))
    assert identify(made, destination(made, START)) == START


def test_a_template_without_a_date_is_not_guessed() -> None:
    assert identify(capture("{device}/%H-%M-%S"), "door/03-04-05.mp4") is None
    assert identify(capture("%Y-%m-%d"), "2026-13-45.mp4") is None


@pytest.mark.parametrize(
    "template",
    ["", "/etc/%s", "../%s", "a/../../%s", "a//%s", ".spool/%s", "a/.hidden/%s", "%s/", "a\0b", "./%s"],
)
def test_a_template_cannot_lead_out(template: str) -> None:
    with pytest.raises(ValueError):
        destination(capture(template), START)


@given(st.text(), st.integers(0, 4_000_000_000))
def test_any_template_stays_below_or_is_refused(template: str, start: int) -> None:
    try:
        path = destination(capture(template), start)
    except ValueError:
        return
    assert not path.startswith("/")
    assert all(part and not part.startswith(".") for part in path.split("/"))
    identify(capture(template), path)


def test_names_in_the_spool() -> None:
    run = run_id(1)
    assert spooled(f"1767323045-{run}.mp4") == Spooled(1767323045, run, ".mp4")
    for foreign in (
        "x.mp4",
        ".capture.json",
        f"1-{run}",
        f"-{run}.mp4",
        "1-2.mp4",
        f"1767323045-{run}.mp4\n",
        f"1-{run}.MP4",
    ):
        assert spooled(foreign) is None


def ffmpeg(*arguments: str) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-t", "1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *arguments], check=True)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", []),
        ("b.mp4", ["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]),
        ("c.mp4", ["-movflags", "+faststart"]),
        ("d.mkv", []),
        ("e.ts", []),
        ("f.jpg", ["-frames:v", "1"]),
    ],
)
def test_what_ffmpeg_writes_is_playable_and_its_head_alone_is_not(
    tmp_path: Path, name: str, options: list[str]
) -> None:
    path = tmp_path / name
    ffmpeg(*options, str(path))
    assert playable(str(path))
    data = path.read_bytes()
    path.write_bytes(b"")
    assert not playable(str(path))
    if name == "b.mp4":
        path.write_bytes(data[: data.index(b"moof") - 4])
        assert not playable(str(path))
        path.write_bytes(data[: data.index(b"mdat") + 100])
        assert playable(str(path))
    if name == "a.mp4":
        path.write_bytes(data[: data.index(b"moov") - 4])
        assert not playable(str(path)), "no index, so no pictures"
    if name == "d.mkv":
        path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
        assert not playable(str(path))


@given(st.binary(max_size=300), st.sampled_from([".mp4", ".mkv", ".jpg", ".ts"]))
def test_any_content_is_answered(tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(data)
    assert playable(str(path)) in (True, False)
    path.write_bytes(b"\0\0\0\x08ftyp" + data)
    assert playable(str(path)) in (True, False)

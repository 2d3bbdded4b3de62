"""What a segment holds, against a real prober; and that no bytes whatever do harm."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidops.runtime.keeper import NUDGE, continued
from vidops.runtime.media import MOST_HOLES, Media, _media, inspect, least_gap

FRAGMENTED = ("-movflags", "+empty_moov+default_base_moof")
SOUND = ("-f", "lavfi", "-i", "sine", "-t", "3")
FILES = {
    "every-frame.mp4": ("-c:v", "mjpeg", "-movflags", "+frag_every_frame+empty_moov+default_base_moof"),
    "seconds.mp4": ("-c:v", "libx264", "-bf", "2", *FRAGMENTED, "-frag_duration", "1000000"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=error", *FRAGMENTED),
    "sound.mp4": (*SOUND, "-c:v", "libx264", "-c:a", "aac", *FRAGMENTED, "-frag_duration", "1000000"),
    "jpeg.mkv": ("-c:v", "mjpeg", "-cluster_time_limit", "500"),
    "h264.mkv": ("-c:v", "libx264", "-bf", "2"),
    "live.mkv": ("-c:v", "mjpeg", "-live", "1"),
    "h264.ts": ("-c:v", "libx264", "-bf", "2"),
    "sound.ts": (*SOUND, "-c:v", "libx264", "-c:a", "aac"),
    "sound.mkv": (*SOUND, "-c:v", "libx264", "-c:a", "aac"),
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for file, options in FILES.items():
            source = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=15:duration=3")
            subprocess.run(["ffmpeg", "-v", "error", *source, *options, f"{name}/{file}"], check=True)
        yield Path(name)


@pytest.mark.integration
@pytest.mark.parametrize("file", FILES)
def test_as_a_prober_says(folder: Path, file: str) -> None:
    argv = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "v", "-of", "json"]
    argv += ["-show_entries", "stream=codec_name,nb_read_packets", str(folder / file)]
    stream = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["streams"][-1]
    found = inspect(str(folder / file))
    assert found is not None
    assert (found.frames, found.codec) == (int(stream["nb_read_packets"]), stream["codec_name"])
    assert found.duration == pytest.approx(3.0, abs=0.01)
    assert found.holes == ()


@pytest.mark.integration
@pytest.mark.parametrize("file", [name for name in FILES if not name.startswith("sound")])
def test_where_frames_are_missing(file: str, tmp_path: Path) -> None:
    source = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=15:duration=4", "-fps_mode", "passthrough")
    # Two frames are no hole yet; six and fifteen are.
    left_out = ("-vf", "select='not(between(n,4,5)+between(n,15,20)+between(n,30,44))'")
    subprocess.run(["ffmpeg", "-v", "error", *source, *left_out, *FILES[file], str(tmp_path / file)], check=True)
    found = inspect(str(tmp_path / file))
    assert found is not None
    assert found.frames == 37
    assert found.duration == pytest.approx(4.0, abs=0.01)
    assert found.holes == (pytest.approx((1.0, 1.4), abs=0.003), pytest.approx((2.0, 3.0), abs=0.003))


@pytest.mark.integration
def test_of_many_holes_the_longest(tmp_path: Path) -> None:
    """Each is 0.3 s long, every tenth of them 0.6."""
    kept = "not(between(mod(n,20),10,12))*not(between(mod(n,200),13,15))"
    source = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=80", "-fps_mode", "passthrough")
    subprocess.run(
        ["ffmpeg", "-v", "error", *source, "-vf", f"select='{kept}'", "-c:v", "mjpeg", str(tmp_path / "x.mkv")],
        check=True,
    )
    found = inspect(str(tmp_path / "x.mkv"))
    assert found is not None
    assert len(found.holes) == MOST_HOLES
    assert [after - before > 0.5 for before, after in found.holes].count(True) == 4
    assert list(found.holes) == sorted(found.holes)


@pytest.mark.integration
@pytest.mark.parametrize("file", ["every-frame.mp4", "seconds.mp4", "jpeg.mkv"])
def test_cut_off_anywhere_it_holds_less_and_never_more(folder: Path, file: str, tmp_path: Path) -> None:
    data = (folder / file).read_bytes()
    counted = []
    for cut in range(0, len(data), max(1, len(data) // 40)):
        part = tmp_path / file
        part.write_bytes(data[:cut])
        found = inspect(str(part))
        counted.append(found.frames if found else 0)
    assert counted == sorted(counted)
    assert counted[0] == 0
    assert counted[-1] <= 45


@pytest.mark.integration
def test_cut_off_at_every_byte(tmp_path: Path) -> None:
    source = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=15", "-frames:v", "4")
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    subprocess.run(["ffmpeg", "-v", "error", *source, *FILES["every-frame.mp4"], str(whole)], check=True)
    data = whole.read_bytes()
    counted = []
    for cut in range(len(data) + 1):
        part.write_bytes(data[:cut])
        found = inspect(str(part))
        counted.append(found.frames if found else 0)
    assert counted == sorted(counted)
    assert set(counted) == {0, 1, 2, 3, 4}


def test_a_camera_that_becomes_slower_has_no_holes() -> None:
    dim = [*range(0, 3000, 33), *range(3000, 13_000, 200), *range(13_000, 30_000, 33)]
    found = _media(dim, 0.001, "mjpeg")
    assert found is not None
    assert found.holes == ()
    found = _media([t for t in dim if not 20_000 < t < 22_000], 0.001, "mjpeg")
    assert found is not None
    assert [round(after - before, 1) for before, after in found.holes] == [2.0]


def test_what_is_no_video(tmp_path: Path) -> None:
    for content in (b"", b"\xff\xd8\xff\xd9", b"\0" * 100, b"\0\0\0\x08ftyp", b"\x1a\x45\xdf\xa3"):
        (tmp_path / "x.mp4").write_bytes(content)
        assert inspect(str(tmp_path / "x.mp4")) is None
    assert inspect(str(tmp_path / "missing.mp4")) is None


def box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4) + kind + body


LEAVES = st.sampled_from([b"tfhd", b"tfdt", b"trun", b"mdhd", b"hdlr", b"stsd", b"tkhd", b"trex"])
MASTERS = st.sampled_from([b"moov", b"moof", b"traf", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"mdat"])
BOXES = st.recursive(
    st.builds(box, LEAVES, st.binary(max_size=64)),
    lambda inner: st.builds(box, MASTERS, st.lists(inner, max_size=5).map(b"".join)),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(BOXES, max_size=6).map(lambda parts: box(b"ftyp", b"isom") + b"".join(parts))
    | st.binary(max_size=300).map(lambda rest: b"\x1a\x45\xdf\xa3" + rest)
    | st.lists(st.binary(min_size=187, max_size=187), max_size=8).map(lambda ps: b"".join(b"\x47" + p for p in ps))
    | st.binary(max_size=300)
)
def test_any_bytes_give_an_answer(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="vo") as file:
        file.write(data)
        file.flush()
        found = inspect(file.name)
    assert found is None or (isinstance(found, Media) and found.frames >= 0 and found.codec.isprintable())


def test_a_hostile_file_is_given_up_in_time(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + box(b"free", b"") * 1_000_000)
    begun = time.monotonic()
    assert inspect(str(path)) is None
    assert time.monotonic() - begun < 5
    os.truncate(path, 0)


@given(
    st.lists(st.floats(-0.04, 0.04), min_size=20, max_size=400),
    st.sampled_from([0.033, 0.1, 0.2]),
)
def test_files_of_a_run_follow_one_another_however_frames_jitter(jitter: list[float], interval: float) -> None:
    """Files of a second each; how long one seems to be is off by its frames' jitter, in the same direction for long."""
    before = 100.0 + interval / 2
    for second, wrong in enumerate(sorted(jitter), start=101):
        start = continued(float(second), before, interval)
        assert abs(start - before) <= NUDGE + 1e-9 or abs(before - second) > least_gap(interval)
        before = start + 1.0 + wrong * interval
    assert abs(before - (101 + len(jitter))) <= least_gap(interval) + 1


def test_what_is_missing_between_two_files_of_a_run_is_missing() -> None:
    assert continued(105, 104.2, 0.1) == 105
    assert continued(105, 104.99, 0.1) == 105
    assert continued(105, 104.95, 0.1) == pytest.approx(104.96)
    assert continued(105, 105.05, 0.1) == 105.05
    assert continued(105, 105.2, 0.1) == pytest.approx(105.19)
    assert continued(105, 109.0, 0.1) == 105

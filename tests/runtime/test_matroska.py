from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.runtime.matroska import Track, frame_head, head

pytestmark = pytest.mark.integration


def picture(size: str = "64x48") -> bytes:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=s={size}", "-frames:v", "1", "-f", "mjpeg", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def probe(path: Path) -> dict[str, list[dict[str, str]]]:
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_packets", "-show_streams", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    found: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return picture()


def test_ffprobe_reads_size_codec_and_every_time_to_the_millisecond(tmp_path: Path, jpeg: bytes) -> None:
    times = [1795576473.123, 1795576473.124, 1795576473.4567, 1795576500.0, 1795586500.001]
    path = tmp_path / "stream.mkv"
    path.write_bytes(head(Track("mjpeg", 64, 48)) + b"".join(frame_head(len(jpeg), t) + jpeg for t in times))
    found = probe(path)
    (stream,) = found["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("mjpeg", 64, 48)
    assert [float(p["pts_time"]) for p in found["packets"]] == [round(t, 3) for t in times]
    assert {int(p["size"]) for p in found["packets"]} == {len(jpeg)}


def test_frames_are_whole_pictures(tmp_path: Path, jpeg: bytes) -> None:
    path = tmp_path / "stream.mkv"
    path.write_bytes(
        head(Track("mjpeg", 64, 48)) + b"".join(frame_head(len(jpeg), 1e9 + n / 30) + jpeg for n in range(5))
    )
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "matroska",
        "-i",
        str(path),
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-",
    ]
    done = subprocess.run([*command[:-1], "-pix_fmt", "gray", "-"], capture_output=True, check=True)
    assert len(done.stdout) == 5 * 64 * 48
    assert done.stderr == b""


def test_who_joins_later_reads_the_same_bytes(tmp_path: Path, jpeg: bytes) -> None:
    clusters = [frame_head(len(jpeg), 1e9 + n) + jpeg for n in range(6)]
    path = tmp_path / "late.mkv"
    path.write_bytes(head(Track("mjpeg", 64, 48)) + b"".join(clusters[3:]))
    assert [float(p["pts_time"]) for p in probe(path)["packets"]] == [1e9 + 3, 1e9 + 4, 1e9 + 5]


@given(st.integers(0, 2**28), st.floats(0, 1e11))
def test_a_frame_head_says_how_long_what_follows_is(size: int, timestamp: float) -> None:
    made = frame_head(size, timestamp)
    assert made[:4] == b"\x1f\x43\xb6\x75"
    at, length = read_size(made, 4)
    assert len(made) + size == at + length


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """An EBML variable-size integer: where it ends, and its value."""
    first = data[at]
    width = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return at + width, value

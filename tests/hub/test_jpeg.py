from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.jpegs import frame_header, jpeg, segment
from vidops.hub.jpeg import BadImageError, check


@pytest.mark.integration
@pytest.mark.parametrize("size", ["16x16", "641x479", "1920x1080"])
def test_the_size_of_what_ffmpeg_makes(size: str) -> None:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=s={size}", "-frames:v", "1", "-f", "mjpeg", "-"]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    image = check(made)
    assert f"{image.width}x{image.height}" == size
    assert image.data == made


@pytest.mark.parametrize("padding", [b"\0" * 5000, b"\xff" * 3, b"\n", b"\0\0\xab\0\0"])
def test_padding_is_cut_off(padding: bytes) -> None:
    assert check(jpeg() + padding).data == jpeg()


@pytest.mark.parametrize("marker", [0xC1, 0xC2, 0xC9, 0xCF])
def test_every_kind_of_frame_header(marker: int) -> None:
    image = check(b"\xff\xd8\xff" + frame_header(320, 240, marker) + b"\xff\xd9")
    assert (image.width, image.height) == (320, 240)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "NotJPEG"),
        (b"\xff\xd8", "NotJPEG"),
        (b"\x89PNG" + b"\0" * 50, "NotJPEG"),
        (jpeg()[:-2], "CutOff"),
        (jpeg()[:20], "CutOff"),
        (b"\xff\xd8\xff\xd9", "NoFrameHeader"),
        (jpeg(width=0), "NoFrameHeader"),
        (b"\xff\xd8" + segment(0xDA, b"") + frame_header(1, 1) + b"\xff\xd9", "NoFrameHeader"),
        (b"\xff\xd8\xff\xe0\x00\x00" + frame_header(1, 1) + b"\xff\xd9", "NoFrameHeader"),
        (b"\xff\xd8" + segment(0xC4, b"\x08\0\x10\0\x10") + b"\0" * 9 + b"\xff\xd9", "NoFrameHeader"),
    ],
)
def test_what_is_no_whole_jpeg(data: bytes, reason: str) -> None:
    with pytest.raises(BadImageError) as caught:
        check(data)
    assert caught.value.reason == reason


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_raise_nothing_else(data: bytes, framed: bool) -> None:
    try:
        image = check(b"\xff\xd8" + data + b"\xff\xd9" if framed else data)
    except BadImageError:
        return
    assert image.data.startswith(b"\xff\xd8")
    assert image.data.endswith(b"\xff\xd9")
    assert image.width > 0
    assert image.height > 0

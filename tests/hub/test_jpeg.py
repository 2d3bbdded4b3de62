from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.jpegs import frame_header, jpeg, segment
from vidops.hub.jpeg import MOST_PIXELS, BadImageError, check


@pytest.mark.integration
@pytest.mark.parametrize("size", ["16x16", "641x479", "1920x1080"])
def test_the_size_of_what_ffmpeg_makes(size: str) -> None:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=s={size}", "-frames:v", "1", "-f", "mjpeg", "-"]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    image = check(made)
    assert f"{image.width}x{image.height}" == size
    assert image.data == made


@pytest.mark.parametrize("padding", [b"\0" * 5000, b"\xff" * 3, b"\n", b"\0\0\xab\0\0", b"old" * 99, jpeg(8, 8)])
def test_padding_is_cut_off(padding: bytes) -> None:
    assert check(jpeg() + padding).data == jpeg()


@pytest.mark.parametrize("marker", [0xC1, 0xC2, 0xC9, 0xCF])
def test_every_kind_of_frame_header(marker: int) -> None:
    image = check(jpeg(320, 240, marker=marker))
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
        (b"\xff\xd8" + frame_header(1, 1) + b"\xff\xd9", "NoPicture"),
        (b"\xff\xd8\xff\xe0\x00\x00" + frame_header(1, 1) + b"\xff\xd9", "Malformed"),
        (b"\xff\xd8" + segment(0xC4, b"\x08\0\x10\0\x10") + b"\0" * 9 + b"\xff\xd9", "Malformed"),
        (jpeg(before=b"\x00"), "Malformed"),
        (jpeg(before=frame_header(8, 8)), "Malformed"),
        (b"\xff\xd8" + segment(0xC0, b"\x08\x00\x08\x00\x08\x03" + b"\x01\x22\x00" * 2) + b"\xff\xd9", "Malformed"),
        (b"\xff\xd8" + frame_header(8, 8) + segment(0xDA, b"\x03\x01\x00") + b"\xff\xd9", "Malformed"),
        (jpeg(filling=b"\xff\xc4\xff"), "CutOff"),
        (jpeg(65000, 65000), "TooManyPixels"),
    ],
)
def test_what_is_no_whole_jpeg(data: bytes, reason: str) -> None:
    with pytest.raises(BadImageError) as caught:
        check(data)
    assert caught.value.reason == reason


def test_what_looks_like_a_marker_in_a_scan_and_is_none() -> None:
    image = jpeg(filling=b"\x12\xff\x00\xff\xd0\x34\xff\xff\xd7\xff\x00")
    assert check(image).data == image


def test_a_picture_in_the_picture_ends_with_its_segment() -> None:
    image = jpeg(before=segment(0xE1, b"Exif\0" + jpeg(4, 4)))
    assert check(image) == (image, 16, 8)


def _pieces() -> list[bytes]:
    """A whole image of several scans, segment by segment."""
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    return [
        *[b"\xff\xd8", segment(0xE0, b"JFIF\0"), segment(0xDB, b"\x00" * 65), frame_header(64, 48, 0xC2)],
        *[scan + b"ab\xff\x00c", segment(0xC4, b"\x00" * 20), scan + b"d\xff\xd1e", b"\xff\xd9"],
    ]


def test_no_beginning_of_an_image_passes() -> None:
    whole = b"".join(_pieces())
    assert check(whole).data == whole
    for end in range(len(whole)):
        with pytest.raises(BadImageError):
            check(whole[:end])


@given(st.integers(1, 4), st.binary(min_size=1, max_size=30).filter(lambda junk: junk[0] != 0xFF))
def test_nothing_passes_with_garbage_between_its_segments(at: int, junk: bytes) -> None:
    pieces = _pieces()
    pieces.insert(at, junk)
    with pytest.raises(BadImageError):
        check(b"".join(pieces))


@given(st.lists(st.sampled_from([b"\xff", b"\0", b"\xd0", b"\xd9", b"x"])).map(b"".join))
def test_a_scan_ends_at_its_first_marker(more: bytes) -> None:
    begun = jpeg()[:-2]
    first = re.search(rb"\xff+[^\x00\xff\xd0-\xd7]", more + b"\xff\xd9")
    assert first is not None
    if first[0].endswith(b"\xd9"):
        assert check(begun + more + b"\xff\xd9").data == begun + (more + b"\xff\xd9")[: first.end()]
    else:
        with pytest.raises(BadImageError):
            check(begun + more + b"\xff\xd9")


def test_many_fill_bytes_take_linear_time() -> None:
    """Else a camera could stop the hub: a quadratic search would take hours here."""
    begun = jpeg()[:-2] + (b"\xff" * 1_000_000 + b"\0") * 2
    assert check(begun + b"\xff\xd9").data == begun + b"\xff\xd9"
    with pytest.raises(BadImageError, match="cut off"):
        check(begun + b"\xff" * 1_000_000)


@given(st.data())
def test_a_changed_image_is_refused_or_as_whole_as_before(data: st.DataObject) -> None:
    image = bytearray(b"".join(_pieces()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(image) - 1))
        image[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = check(bytes(image))
    except BadImageError:
        return
    assert check(found.data) == found
    assert found.data.endswith(b"\xff\xd9")
    assert 0 < found.width * found.height <= MOST_PIXELS


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

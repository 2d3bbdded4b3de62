"""As much of JPEG as the hub has to know: whether it is whole, and how large its picture is. Pure.

Source: ITU-T T.81, annex B (markers and their segments).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_START = b"\xff\xd8"
_EOI = 0xD9
_AFTER_FF = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""In a scan's data, FF00 is a byte FF, and FFD0 to FFD7 are restarts (B.1.1.2). What is searched for begins with a
literal: that takes a twentieth of the time of `\\xff+`."""
_NOT_FILL = re.compile(rb"[^\xff]")
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)
"""Markers among SOF0..SOF15 that are none: DHT, JPG, DAC."""
_SCAN = 0xDA
_IN_SCAN = frozenset({b"\0", *(bytes([m]) for m in range(0xD0, 0xD8))})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
MOST_PIXELS = 1 << 27
"""Above this a few bytes would make every viewer ask for gigabytes."""


class BadImageError(Exception):
    """These bytes are no whole JPEG. `reason`: NotJPEG, CutOff, Malformed, NoFrameHeader,
    NoPicture or TooManyPixels."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Image(NamedTuple):
    """A whole JPEG, without what a camera padded it with; its size in pixels."""

    data: bytes
    width: int
    height: int


def check(data: bytes) -> Image:
    """Raises `BadImageError`. Walks the marker segments from the first to the end of the image; never decodes.

    Between segments there is nothing, behind a scan's header comes its data up to the next marker, and the image ends
    where its EOI is: cameras hand over whole buffers, and what stands behind is cut off.
    """
    if len(data) < 4 or data[:2] != _START:
        raise BadImageError("NotJPEG", "it does not begin like a JPEG")
    width = height = 0
    scans = False
    at = 2
    while True:
        marker, at = _marker(data, at)
        if marker == _EOI:
            break
        if marker in _STANDALONE:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if at + max(2, length) > len(data):
            raise BadImageError("CutOff", "it is cut off")
        if length < 2:
            raise BadImageError("Malformed", f"the segment of marker FF{marker:02X} has no length")
        segment = data[at + 2 : at + length]
        at += length
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER:
            if width:
                raise BadImageError("Malformed", "it has two frame headers")
            width, height = _size(segment)
        elif marker == _SCAN:
            if not width:
                raise BadImageError("NoFrameHeader", "it has no frame header")
            scans = True
            at = _scanned(data, at, segment)
    if not scans:
        raise BadImageError("NoPicture" if width else "NoFrameHeader", "it has no picture")
    return Image(data[:at], width, height)


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """The marker at a place, and where what belongs to it begins."""
    if at < len(data) and data[at] != 0xFF:
        raise BadImageError("Malformed", "there is something between two segments")
    while at < len(data) and data[at] == 0xFF:  # any of these but the last are fill bytes
        at += 1
    if at >= len(data):
        raise BadImageError("CutOff", "it is cut off")
    return data[at], at + 1


def _scanned(data: bytes, at: int, segment: bytes) -> int:
    """Where the data of a scan with this header (B.2.3) ends."""
    if len(segment) < 6 or len(segment) != 4 + 2 * segment[0]:
        raise BadImageError("Malformed", "the header of a scan is not as long as it says")
    while found := _AFTER_FF.search(data, at):
        # A run of fill bytes is passed over as a whole: from each of its bytes on, it would take quadratic time.
        behind = _NOT_FILL.search(data, found.start())
        if behind is None:
            break
        if behind[0] not in _IN_SCAN:
            return found.start()
        at = behind.end()
    raise BadImageError("CutOff", "it is cut off")


def _size(segment: bytes) -> tuple[int, int]:
    """Width and height out of a frame header (B.2.2)."""
    if len(segment) < 9 or len(segment) != 6 + 3 * segment[5]:
        raise BadImageError("Malformed", "its frame header is not as long as it says")
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    if not width or not height:
        raise BadImageError("NoFrameHeader", "its frame header has no size")
    if width * height > MOST_PIXELS:
        raise BadImageError("TooManyPixels", f"it says that it has {width}x{height} pixels")
    return width, height

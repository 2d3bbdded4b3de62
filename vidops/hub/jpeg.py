"""As much of JPEG as the hub has to know: whether it is whole, and how large its picture is. Pure.

Source: ITU-T T.81, annex B (markers and their segments).
"""

from __future__ import annotations

from typing import NamedTuple

_START, _END = b"\xff\xd8", b"\xff\xd9"
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)
"""Markers among SOF0..SOF15 that are none: DHT, JPG, DAC."""
_SCAN = 0xDA
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
TRAILING = 64
"""Bytes other than zeros that may stand behind the end of an image; cameras pad."""


class BadImageError(Exception):
    """These bytes are no whole JPEG. `reason` is one word of NotJPEG, CutOff, NoFrameHeader."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Image(NamedTuple):
    """A whole JPEG, without what a camera padded it with; its size in pixels."""

    data: bytes
    width: int
    height: int


def check(data: bytes) -> Image:
    """Raises `BadImageError`. Reads marker segments, never the picture."""
    if len(data) < 4 or data[:2] != _START:
        raise BadImageError("NotJPEG", "it does not begin like a JPEG")
    if not data.endswith(_END):
        # A buffer that a driver hands over whole, whatever the image needed of it.
        data = data.rstrip(b"\0")
        end = data.rfind(_END, max(2, len(data) - TRAILING))
        if end < 0:
            raise BadImageError("CutOff", "it is cut off")
        data = data[: end + 2]
    width, height = _size(data)
    if not width or not height:
        raise BadImageError("NoFrameHeader", "it has no frame header")
    return Image(data, width, height)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height; (0, 0) where no frame header is found."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker == _SCAN:
            return 0, 0
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2:
                return 0, 0
            at += 2 + length
    return 0, 0

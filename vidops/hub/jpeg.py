"""As much of JPEG as the hub has to know: whether it is whole, and how large its picture is.

Source: ITU-T T.81, annex B (markers and their segments).
"""

from __future__ import annotations

_START, _END = b"\xff\xd8", b"\xff\xd9"
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)
"""Markers among SOF0..SOF15 that are none: DHT, JPG, DAC."""
_SCAN = 0xDA
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
TRAILING = 64
"""Bytes that cameras may pad behind the end of an image."""


def flaw(data: bytes) -> str:
    """Why these bytes are no whole JPEG; empty where nothing is wrong with their frame."""
    if len(data) < 4 or data[:2] != _START:
        return "it does not begin like a JPEG"
    if data.rfind(_END, max(2, len(data) - TRAILING)) < 0:
        return "it is cut off"
    return ""


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels; (0, 0) where no frame header is found. Reads marker segments, never the picture."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        if marker == _SCAN:
            return 0, 0
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            return 0, 0
        at += 2 + length
    return 0, 0

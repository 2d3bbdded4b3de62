"""What a camera can deliver: VIDIOC_ENUM_FMT, VIDIOC_ENUM_FRAMESIZES, VIDIOC_ENUM_FRAMEINTERVALS."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from vidops.ports import VideoMode
from vidops.v4l2.node import Ioctl, listed, number, text

_CAPTURE, _CAPTURE_MPLANE = 1, 9
_FORMAT = struct.Struct("=III32s4sI12x")
_SIZE = struct.Struct("=I4sI24s8x")
_INTERVAL = struct.Struct("=I4sIII24s8x")
VIDIOC_ENUM_FMT = number(3, 2, _FORMAT.size)
VIDIOC_ENUM_FRAMESIZES = number(3, 74, _SIZE.size)
VIDIOC_ENUM_FRAMEINTERVALS = number(3, 75, _INTERVAL.size)
_DISCRETE = 1
MOST_FORMATS, MOST_SIZES, MOST_RATES = 64, 128, 64
"""More than any driver has; what ends a driver that never says that there are no more."""

FORMATS = {
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
    "H264": "h264",
    "HEVC": "hevc",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "YVYU": "yvyu422",
    "422P": "yuv422p",
    "YU12": "yuv420p",
    "NV12": "nv12",
    "NV21": "nv21",
    "NV16": "nv16",
    "GREY": "gray",
    "Y16 ": "gray16le",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
    "RGBP": "rgb565le",
    "RGBR": "rgb565be",
    "RGBO": "rgb555le",
    "BGR4": "bgr0",
    "RGB4": "0rgb",
    "BA81": "bayer_bggr8",
    "GBRG": "bayer_gbrg8",
    "GRBG": "bayer_grbg8",
    "RGGB": "bayer_rggb8",
}
"""FFmpeg's names of the kernel's fourcc codes: what `mode.input_format` is written in."""


def modes(ioctl: Ioctl) -> tuple[VideoMode, ...]:
    """Every format that FFmpeg has a name for, with its sizes and rates, in the driver's order. Empty where it tells
    none."""
    found: list[VideoMode] = []
    for code, description in _formats(ioctl):
        found += _sizes(ioctl, code, description)
    return tuple(found)


def outline(ioctl: Ioctl) -> tuple[object, ...]:
    """What a few questions tell: the formats, and the sizes of the first. Another outline means other modes."""
    formats = tuple(_formats(ioctl))
    first = tuple(listed(ioctl, VIDIOC_ENUM_FRAMESIZES, _asking_size(formats[0][0]), MOST_SIZES)) if formats else ()
    return formats, first


def _formats(ioctl: Ioctl) -> Iterator[tuple[bytes, str]]:
    """Codes and descriptions."""
    for kind in (_CAPTURE, _CAPTURE_MPLANE):
        for answer in listed(ioctl, VIDIOC_ENUM_FMT, _asking_format(kind), MOST_FORMATS):
            _, _, _, description, code, _ = _FORMAT.unpack(answer)
            if code.decode("ascii", "replace") in FORMATS:
                yield code, text(description)


def _asking_format(kind: int) -> Callable[[int], bytes]:
    return lambda index: _FORMAT.pack(index, kind, 0, b"", b"\0\0\0\0", 0)


def _asking_size(code: bytes) -> Callable[[int], bytes]:
    return lambda index: _SIZE.pack(index, code, 0, b"")


def _sizes(ioctl: Ioctl, code: bytes, description: str) -> list[VideoMode]:
    name = FORMATS[code.decode("ascii")]
    found = []
    for answer in listed(ioctl, VIDIOC_ENUM_FRAMESIZES, _asking_size(code), MOST_SIZES):
        _, _, kind, union = _SIZE.unpack(answer)
        if kind == _DISCRETE:
            width, height = struct.unpack_from("=II", union)
            found.append(
                VideoMode(name, description, (width, width, 1), (height, height, 1), _rates(ioctl, code, width, height))
            )
            continue
        low_w, high_w, step_w, low_h, high_h, step_h = struct.unpack("=6I", union)
        # Rates depend on the size; those of the largest hold for all smaller ones, or nearly.
        rates = _rates(ioctl, code, high_w, high_h)
        found.append(VideoMode(name, description, (low_w, high_w, step_w or 1), (low_h, high_h, step_h or 1), rates))
        break
    return found


def _rates(ioctl: Ioctl, code: bytes, width: int, height: int) -> tuple[float, ...]:
    """Frames a second, fastest first; of a range, its two ends. Empty where the driver tells none."""
    found: set[float] = set()
    for answer in listed(
        ioctl, VIDIOC_ENUM_FRAMEINTERVALS, lambda i: _INTERVAL.pack(i, code, width, height, 0, b""), MOST_RATES
    ):
        *_, kind, union = _INTERVAL.unpack(answer)
        if kind == _DISCRETE:
            found.update(_rate(*struct.unpack_from("=II", union)))
            continue
        shortest = struct.unpack_from("=II", union)
        longest = struct.unpack_from("=II", union, 8)
        found.update((*_rate(*shortest), *_rate(*longest)))
        break
    return tuple(sorted(found, reverse=True))


def _rate(numerator: int, denominator: int) -> tuple[float, ...]:
    return (round(denominator / numerator, 3),) if numerator and denominator else ()

"""A video driver that answers as the kernel's does, from its own words for the structures (videodev2.h)."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
QUERY_EXT_CTRL, QUERYMENU, G_CTRL, S_CTRL = 0xC0E85667, 0xC02C5625, 0xC008561B, 0xC008561C
NEXT_CTRL = 0x80000000


@dataclass
class Knob:
    """A control. `kind`: 1 integer, 2 boolean, 3 menu, 4 button, 8 bitmask, 9 integer menu; 5 is 64 bits, 7 a text."""

    number: int
    title: str
    kind: int = 1
    low: int = 0
    high: int = 255
    step: int = 1
    default: int = 0
    value: int = 0
    menu: dict[int, str | int] = field(default_factory=dict)
    flags: int = 0
    refuses: int = 0
    """The errno that a write gets."""
    sticks: bool = False
    """A write is taken and changes nothing."""


@dataclass
class Driver:
    """`sizes`: (fourcc, description, [(width, height, [rates])]); `stepwise`: instead, min, max, step."""

    sizes: list[tuple[str, str, list[tuple[int, int, list[int]]]]] = field(default_factory=list)
    stepwise: tuple[int, int, int, int, int, int] | None = None
    knobs: list[Knob] = field(default_factory=list)
    written: list[tuple[str, int]] = field(default_factory=list)
    gone: bool = False
    calls: int = 0

    @contextmanager
    def opened(self, path: str) -> Iterator[Driver]:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device", path)
        yield self

    def __call__(self, request: int, data: bytes) -> bytes:
        self.calls += 1
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        answers = {
            QUERYCAP: self._capability,
            ENUM_FMT: self._format,
            ENUM_FRAMESIZES: self._size,
            ENUM_FRAMEINTERVALS: self._interval,
            QUERY_EXT_CTRL: self._query,
            QUERYMENU: self._entry,
            G_CTRL: self._get,
            S_CTRL: self._set,
        }
        if request not in answers:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        answer = answers[request](data)
        assert len(answer) == len(data) == request >> 16 & 0x3FFF, "a structure of another size"
        return answer

    def _capability(self, data: bytes) -> bytes:
        caps = 0x04200001
        return struct.pack("16s32s32sIII12x", b"uvcvideo", b"Acme C1", b"usb-1", 0x60100, caps | 0x80000000, caps)

    def _format(self, data: bytes) -> bytes:
        index, kind = struct.unpack_from("II", data)
        if kind != 1 or index >= len(self.sizes):
            raise OSError(errno.EINVAL, "Invalid argument")
        fourcc, description, _ = self.sizes[index]
        return struct.pack("III32s4sI12x", index, 1, 0, description.encode(), fourcc.encode(), 0)

    def _sizes_of(self, code: bytes) -> list[tuple[int, int, list[int]]]:
        return next(sizes for fourcc, _, sizes in self.sizes if fourcc.encode() == code)

    def _size(self, data: bytes) -> bytes:
        index, code = struct.unpack_from("I4s", data)
        if self.stepwise is not None and index == 0:
            return struct.pack("I4sI6I8x", index, code, 3, *self.stepwise)
        sizes = self._sizes_of(code)
        if self.stepwise is not None or index >= len(sizes):
            raise OSError(errno.EINVAL, "Invalid argument")
        return struct.pack("I4sIII24x", index, code, 1, *sizes[index][:2])

    def _interval(self, data: bytes) -> bytes:
        index, code, width, height = struct.unpack_from("I4sII", data)
        if self.stepwise is not None:
            if index:
                raise OSError(errno.EINVAL, "Invalid argument")
            # From 1/60 s to 1 s.
            return struct.pack("I4sIII6I8x", index, code, width, height, 2, 1, 60, 1, 1, 1, 1)
        rates = next(r for w, h, r in self._sizes_of(code) if (w, h) == (width, height))
        if index >= len(rates):
            raise OSError(errno.EINVAL, "Invalid argument")
        return struct.pack("I4sIIIII24x", index, code, width, height, 1, 1, rates[index])

    def _query(self, data: bytes) -> bytes:
        (asked,) = struct.unpack_from("I", data)
        after = asked & ~NEXT_CTRL
        knob = next((k for k in sorted(self.knobs, key=lambda k: k.number) if k.number > after), None)
        if knob is None or not asked & NEXT_CTRL:
            raise OSError(errno.EINVAL, "Invalid argument")
        return struct.pack(
            "=II32sqqQqI156x", knob.number, knob.kind, knob.title.encode(), knob.low, knob.high, knob.step,
            knob.default, knob.flags,
        )  # fmt: skip

    def _knob(self, number: int) -> Knob:
        for knob in self.knobs:
            if knob.number == number:
                return knob
        raise OSError(errno.EINVAL, "Invalid argument")

    def _entry(self, data: bytes) -> bytes:
        number, index = struct.unpack_from("II", data)
        entry = self._knob(number).menu.get(index)
        if entry is None:
            raise OSError(errno.EINVAL, "Invalid argument")
        content = entry.encode().ljust(32, b"\0") if isinstance(entry, str) else struct.pack("q24x", entry)
        return struct.pack("=II32sI", number, index, content, 0)

    def _get(self, data: bytes) -> bytes:
        number, _ = struct.unpack("Ii", data)
        return struct.pack("Ii", number, self._knob(number).value)

    def _set(self, data: bytes) -> bytes:
        number, value = struct.unpack("Ii", data)
        knob = self._knob(number)
        if knob.refuses:
            raise OSError(knob.refuses, "refused")
        if not knob.sticks:
            knob.value = value
        self.written.append((knob.title, value))
        return data


def webcam() -> Driver:
    """What a common UVC camera says."""
    return Driver(
        sizes=[
            ("MJPG", "Motion-JPEG", [(1280, 720, [30, 15]), (640, 480, [60, 30, 15])]),
            ("YUYV", "YUYV 4:2:2", [(640, 480, [30, 15]), (1280, 720, [10, 5])]),
        ],
        knobs=[
            Knob(0x00980900, "Brightness", low=-64, high=64, default=0, value=10),
            Knob(0x00980913, "Horizontal Flip", kind=2, high=1),
            Knob(0x00980918, "Power Line Frequency", 3, high=2, default=1, value=1,
                 menu={0: "Disabled", 1: "50 Hz", 2: "60 Hz"}),
            Knob(0x009A0901, "Exposure, Auto", 3, high=3, default=3, value=3,
                 menu={1: "Manual Mode", 3: "Aperture Priority Mode"}),
            Knob(0x009A0902, "Exposure Time, Absolute", low=3, high=2047, step=4, default=251, value=251, flags=0x10),
            Knob(0x009A0910, "Pan, Reset", 4, flags=0x40),
            Knob(0x009A0920, "Serial", 7),
            Knob(0x009A0921, "Link Frequency", 9, high=1, menu={0: 456_000_000, 1: 912_000_000}, flags=0x04),
        ],
    )  # fmt: skip

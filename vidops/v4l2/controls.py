"""A camera's controls: VIDIOC_QUERY_EXT_CTRL, VIDIOC_QUERYMENU, VIDIOC_G_CTRL, VIDIOC_S_CTRL.

Those with a value of 32 bits: integers, booleans, menus, masks, buttons. Texts, 64 bits and arrays are left out; no
camera that people plug in needs them.
"""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Iterator

from vidops.ports import ControlFacts
from vidops.v4l2.node import Ioctl, number, text

_QUERY = struct.Struct("=II32sqqQqIIII16s128x")
_MENU = struct.Struct("=II32sI")
_VALUE = struct.Struct("=Ii")
VIDIOC_QUERY_EXT_CTRL = number(3, 103, _QUERY.size)
VIDIOC_QUERYMENU = number(3, 37, _MENU.size)
VIDIOC_G_CTRL = number(3, 27, _VALUE.size)
VIDIOC_S_CTRL = number(3, 28, _VALUE.size)
_NEXT = 0x80000000
_TYPES = {1: "integer", 2: "boolean", 3: "menu", 4: "button", 8: "bitmask", 9: "integer_menu"}
_DISABLED, _READ_ONLY, _INACTIVE, _WRITE_ONLY, _VOLATILE = 0x01, 0x04, 0x10, 0x40, 0x80
MOST, MOST_ENTRIES = 512, 256


def name_of(title: str) -> str:
    """What a control is called in a stack file: v4l2-ctl's way. "Exposure, Auto" is exposure_auto."""
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def controls(ioctl: Ioctl) -> tuple[ControlFacts, ...]:
    """Every control with its range, default, menu and value now, in the order of the driver's numbers."""
    return tuple(_described(ioctl))


def _described(ioctl: Ioctl) -> Iterator[ControlFacts]:
    number_ = 0
    for _ in range(MOST):
        try:
            answer = ioctl(VIDIOC_QUERY_EXT_CTRL, _QUERY.pack(number_ | _NEXT, 0, b"", 0, 0, 0, 0, 0, 0, 0, 0, b""))
        except OSError:
            return
        found, kind, title, low, high, step, default, flags, _, _, dimensions, _ = _QUERY.unpack(answer)
        if found <= number_:
            return  # a driver that goes round in circles
        number_ = found
        if kind not in _TYPES or dimensions or flags & _DISABLED:
            continue
        menu = _menu(ioctl, number_, int(low), int(high), kind) if kind in (3, 9) else ()
        yield ControlFacts(
            id=number_,
            name=name_of(text(title)),
            title=text(title),
            type=_TYPES[kind],
            minimum=low,
            maximum=high,
            step=step or 1,
            default=default,
            value=_value(ioctl, number_, flags),
            menu=menu,
            read_only=bool(flags & _READ_ONLY),
            inactive=bool(flags & _INACTIVE),
        )


def _menu(ioctl: Ioctl, control: int, low: int, high: int, kind: int) -> tuple[tuple[int, str], ...]:
    """Numbers and names of entries; there may be holes between them."""
    found = []
    for index in range(max(0, low), min(high, max(0, low) + MOST_ENTRIES) + 1):
        try:
            _, _, content, _ = _MENU.unpack(ioctl(VIDIOC_QUERYMENU, _MENU.pack(control, index, b"", 0)))
        except OSError:
            continue
        found.append((index, text(content) if kind == 3 else str(struct.unpack_from("=q", content)[0])))
    return tuple(found)


def _value(ioctl: Ioctl, control: int, flags: int) -> int | None:
    """None for what cannot be read."""
    if flags & _WRITE_ONLY:
        return None
    try:
        return read(ioctl, control)
    except OSError:
        return None


def read(ioctl: Ioctl, control: int) -> int:
    value: int = _VALUE.unpack(ioctl(VIDIOC_G_CTRL, _VALUE.pack(control, 0)))[1]
    return value


def write(ioctl: Ioctl, control: int, value: int) -> None:
    """Raises `OSError` as the driver refuses it."""
    ioctl(VIDIOC_S_CTRL, _VALUE.pack(control, value))


def refusal(error: OSError) -> str:
    """What a driver means by its answer to a value."""
    return {
        errno.EBUSY: "another program has it for itself",
        errno.EACCES: "it cannot be written now",
        errno.EPERM: "it cannot be written",
        errno.ERANGE: "the device takes no such value",
        errno.EINVAL: "the device takes no such value",
        errno.EIO: "the device did not take it, maybe since an automatic mode is on",
        errno.ENODEV: "the device is gone",
        errno.ETIMEDOUT: "the device did not answer",
    }.get(error.errno or 0, str(error))

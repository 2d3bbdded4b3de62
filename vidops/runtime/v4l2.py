"""VIDIOC_QUERYCAP: what a video node says of itself (kernel: userspace-api/media/v4l/vidioc-querycap)."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from dataclasses import dataclass

VIDIOC_QUERYCAP = 0x80685600
_CAPABILITY = struct.Struct("16s32s32sIII12x")
_DEVICE_CAPS = 0x80000000
_NAMES = {
    0x00000001: "video_capture",
    0x00000002: "video_output",
    0x00000004: "video_overlay",
    0x00001000: "video_capture_mplane",
    0x00002000: "video_output_mplane",
    0x00004000: "video_m2m_mplane",
    0x00008000: "video_m2m",
    0x00800000: "meta_capture",
    0x01000000: "readwrite",
    0x04000000: "streaming",
    0x08000000: "meta_output",
}
PATIENCE = 2.0
"""Seconds to wait for a node: the open of a wedged device can hang in the kernel for ever."""


@dataclass(frozen=True, slots=True)
class Capability:
    """The node's own words. `capabilities` are of this node, not of the whole device."""

    driver: str
    card: str
    bus_info: str
    capabilities: tuple[str, ...]


def parse_capability(data: bytes) -> Capability:
    """From the kernel's `struct v4l2_capability` (104 bytes)."""
    driver, card, bus_info, _, whole, node = _CAPABILITY.unpack(data)
    flags = node if whole & _DEVICE_CAPS else whole
    names = tuple(name for bit, name in _NAMES.items() if flags & bit)
    return Capability(_text(driver), _text(card), _text(bus_info), names)


def query_capability(path: str, patience: float = PATIENCE) -> Capability | None:
    """Ask a node; None where it cannot be asked (no permission, not V4L2, gone, hanging)."""
    found: list[Capability] = []

    def ask() -> None:
        try:
            # Several may open a node; only streaming is exclusive, so this disturbs nobody.
            descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                answer = fcntl.ioctl(descriptor, VIDIOC_QUERYCAP, bytes(_CAPABILITY.size))
            finally:
                os.close(descriptor)
            found.append(parse_capability(answer))
        except OSError:
            return

    # In a thread of its own, which is left behind if the kernel never answers.
    thread = threading.Thread(target=ask, name=f"querycap {path}", daemon=True)
    thread.start()
    thread.join(patience)
    return found[0] if found else None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")

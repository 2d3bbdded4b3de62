"""VIDIOC_QUERYCAP: what a video node says of itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vidops.v4l2.node import PATIENCE, Ioctl, asked, number, text

_CAPABILITY = struct.Struct("16s32s32sIII12x")
VIDIOC_QUERYCAP = number(2, 0, _CAPABILITY.size)
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
    return Capability(text(driver), text(card), text(bus_info), names)


def capability(ioctl: Ioctl) -> Capability:
    """Raises `OSError` where the node is none of V4L2's."""
    return parse_capability(ioctl(VIDIOC_QUERYCAP, bytes(_CAPABILITY.size)))


def query_capability(path: str, patience: float = PATIENCE) -> Capability | None:
    """Ask a node; None where it cannot be asked (no permission, not V4L2, gone, hanging)."""
    try:
        return asked(path, capability, patience)
    except OSError:
        return None

"""MEDIA_IOC_DEVICE_INFO: what the media controller says of the device that video nodes belong to."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vidops.v4l2.node import Ioctl, asked, text

_INFO = struct.Struct("16s32s40s32sIII124x")
MEDIA_IOC_DEVICE_INFO = 3 << 30 | _INFO.size << 16 | ord("|") << 8


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Of a /dev/mediaN."""

    driver: str
    model: str
    serial: str
    bus_info: str


def media_info(path: str) -> MediaInfo | None:
    """None where it cannot be asked."""

    def ask(ioctl: Ioctl) -> MediaInfo:
        driver, model, serial, bus_info, *_ = _INFO.unpack(ioctl(MEDIA_IOC_DEVICE_INFO, bytes(_INFO.size)))
        return MediaInfo(text(driver), text(model), text(serial), text(bus_info))

    try:
        return asked(path, ask)
    except OSError:
        return None

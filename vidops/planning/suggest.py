"""Entries of a stack file for the cameras that are plugged in. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from vidops.ports import DeviceFacts, VideoMode
from vidops.resources.resource import JSON

LIKED = (1280, 720, 30.0)
"""A size and rate that every viewer and disk copes with: suggested where the camera has them."""
COMPRESSED = ("mjpeg", "h264")
_LONGEST = 40


def suggested(devices: Sequence[DeviceFacts]) -> dict[str, JSON]:
    """`devices` of a stack file: a name, a match that outlives a boot, and a mode for every camera."""
    cameras = [d for d in devices if d.role == "camera"]
    serials = Counter(d.serial for d in cameras)
    found: dict[str, JSON] = {}
    for device in cameras:
        name = base = _slug(device.device_name) or "camera"
        number = 2
        while name in found:
            name, number = f"{base}-{number}", number + 1
        found[name] = {"source": "v4l2", **_which(device, serials), **_mode(device.modes)}
    return found


def _which(device: DeviceFacts, serials: Counter[str]) -> dict[str, Any]:
    """By serial where it is the only one of it, else by its port, else by its path, which a boot may change."""
    if device.serial and serials[device.serial] == 1:
        return {"match": {"driver": device.driver, "serial": device.serial}}
    if device.id_path:
        return {"match": {"driver": device.driver, "id_path": device.id_path}}
    if device.path_by_path:
        return {"match": {"by_path": device.path_by_path}}
    if device.bus_info:
        return {"match": {"driver": device.driver, "bus_info": device.bus_info}}
    return {"path": device.device_path}


def _mode(modes: Sequence[VideoMode]) -> dict[str, Any]:
    width, height, rate = LIKED
    fitting = [
        m for m in modes
        if m.widths[0] <= width <= m.widths[1] and m.heights[0] <= height <= m.heights[1] and _has_rate(m, rate)
    ]  # fmt: skip
    best = min(fitting, key=lambda m: COMPRESSED.index(m.format) if m.format in COMPRESSED else 9, default=None)
    if best is None:
        return {}
    return {"mode": {"input_format": best.format, "video_size": f"{width}x{height}", "framerate": int(rate)}}


def _has_rate(mode: VideoMode, rate: float) -> bool:
    if mode.widths[0] != mode.widths[1]:
        return bool(mode.rates) and mode.rates[-1] <= rate <= mode.rates[0]
    return rate in mode.rates


def _slug(name: str) -> str:
    """A camera's name out of a device's: "HD Webcam C525: HD Webcam" is hd-webcam-c525."""
    return re.sub(r"[^a-z0-9]+", "-", name.partition(":")[0].lower()).strip("-")[:_LONGEST].strip("-")

"""`source: v4l2`: a camera of this host, by path or by what it is."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vidops.api import Device, DeviceFacts, Program, SourceBuild, SourceContext
from vidops_plugins.sources.command import DEFAULT_QUALITY, delivered, encoded, passed_on
from vidops_plugins.sources.match import Match, describe, find

COMPRESSED = ("mjpeg",)
"""Formats that are JPEG already and pass through untouched."""
VIDEO = ("h264", "hevc")
"""Formats that pass through to recordings and to viewers that take them; JPEGs are made when somebody wants them."""
QUEUE = 8
"""Packets between the device's reader and the encoder: more would only be delay."""


class V4L2(Device):
    """A V4L2 device. Exactly one of `path` and `match` says which."""

    source: Literal["v4l2"]
    path: Annotated[str | None, Field(pattern=r"^/dev/")] = None
    """The device node, or a link to it. /dev/videoN changes at a boot: prefer `match` or a by-id link."""
    match: Match | None = None
    """What the device is."""
    quality: Annotated[int, Field(ge=2, le=31)] = DEFAULT_QUALITY
    """Of the JPEG encoding, where the device does not deliver JPEG itself: 2 is best, 31 is smallest."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> V4L2:
        if (self.path is None) == (self.match is None):
            raise ValueError("say which device: either path or match")
        return self


def build(options: V4L2, context: SourceContext) -> SourceBuild:
    found = _find(options, context)
    if not found:
        return SourceBuild(None, missing=_missing(options, context))
    device = found[0]
    description: dict[str, Any] = {k: v for k, v in asdict(device).items() if v and k != "udev"}
    if len(found) > 1:
        others = ", ".join(d.device_path for d in found[1:])
        description["ambiguous"] = (
            f"{len(found)} devices match; taken in the order of port and serial; others: {others}"
        )
    return SourceBuild(_program(options, device.device_path, context), description=description)


def _find(options: V4L2, context: SourceContext) -> list[DeviceFacts]:
    if options.match is not None:
        return find(options.match, context.devices)
    path = options.path or ""
    links = {d.path_by_id: d for d in context.devices} | {d.path_by_path: d for d in context.devices}
    for device in context.devices:
        if device.device_path == path:
            return [device]
    # A path of our own that the scan does not know (a device that is no camera, a container without udev) is
    # FFmpeg's to open or to refuse.
    return [links.get(path) or DeviceFacts(device_path=path, device_name=os.path.basename(path))]


def _missing(options: V4L2, context: SourceContext) -> str:
    there = ", ".join(
        f"{d.device_path} ({d.device_name or '?'}{', serial ' + d.serial if d.serial else ''})" for d in context.devices
    )
    wanted = describe(options.match) if options.match else options.path
    return f"no device with {wanted}; there is {there or 'no camera at all'}"


def _program(options: V4L2, path: str, context: SourceContext) -> Program:
    import ffmpeg

    mode = options.mode
    asked: dict[str, Any] = {"thread_queue_size": QUEUE}
    if mode.input_format:
        asked["input_format"] = mode.input_format
    if mode.video_size:
        # ffmpeg-python takes a pair here, and makes "1x2" of a text.
        asked["video_size"] = mode.video_size.split("x")
    if mode.framerate:
        asked["framerate"] = f"{mode.framerate:g}"
    stream = ffmpeg.input(path, f="v4l2", **asked)
    if mode.input_format in COMPRESSED:
        return delivered(stream, context, **{"c:v": "copy"})
    if mode.input_format in VIDEO:
        return passed_on(stream, context, **{"c:v": "copy"})
    return encoded(stream, context, quality=options.quality, chroma="yuv422p")

"""`source: v4l2`: a camera of this host, by path or by what it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

from vidops.api import Device, DeviceFacts, Program, SourceBuild, SourceContext, mode_refusal
from vidops_plugins.sources.command import DEFAULT_QUALITY, delivered, encoded, passed_on
from vidops_plugins.sources.match import Match, describe, find, why_not

COMPRESSED = ("mjpeg",)
"""Formats that are JPEG already and pass through untouched."""
VIDEO = ("h264", "hevc")
"""Formats that pass through to recordings and to viewers that take them; JPEGs are made when somebody wants them."""
MOST_NAMED = 4
"""Cameras that a message of a missing one names."""
NOT_TOLD = ("udev", "modes")
"""Facts that are too long to be told with every state."""
TEMPLATE = {"serial": "serial", "id_path": "id_path", "usb": "usb_id", "name": "device_name", "bus_info": "bus_info"}
LONGEST_NAME = 48
ControlName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
ControlValue = StrictBool | StrictInt | Annotated[StrictStr, Field(min_length=1, max_length=64)]
QUEUE = 8
"""Packets between the device's reader and the encoder: more would only be delay."""


class V4L2(Device):
    """A V4L2 device. Exactly one of `path` and `match` says which."""

    source: Literal["v4l2"]
    path: Annotated[str | None, Field(pattern=r"^/dev/")] = None
    """The device node, or a link to it. /dev/videoN changes at a boot: prefer `match` or a by-id link."""
    match: Match | None = None
    """What the device is."""
    each: str | None = None
    """A camera for every device that matches, named by this template: "bench-{serial}". Fields: serial, id_path, usb,
    name, bus_info. Captures mean them by a glob: "bench-*"."""
    controls: dict[ControlName, ControlValue] = Field(default_factory=dict)
    """Values of the device's controls, by v4l2-ctl's names: numbers, true or false, menu entries by name. Set before
    each start and whenever they are edited; one that is taken out goes back to its default."""
    quality: Annotated[int, Field(ge=2, le=31)] = DEFAULT_QUALITY
    """Of the JPEG encoding, where the device does not deliver JPEG itself: 2 is best, 31 is smallest."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> V4L2:
        if (self.path is None) == (self.match is None):
            raise ValueError("say which device: either path or match")
        if self.each is not None and self.match is None:
            raise ValueError("each is for what a match finds: say which devices by match")
        return self

    @field_validator("each")
    @classmethod
    def _tells_them_apart(cls, each: str | None) -> str | None:
        if each is None:
            return None
        try:
            parts = list(Formatter().parse(each))
        except ValueError as error:
            raise ValueError(f"not a template: {error}") from None
        fields = [name for _, name, _, _ in parts if name is not None]
        if any(name not in TEMPLATE or spec or conversion for _, name, spec, conversion in parts if name is not None):
            raise ValueError(f"fields are {', '.join(f'{{{name}}}' for name in TEMPLATE)}")
        if not fields:
            raise ValueError("without a field all cameras would have one name: bench-{serial}")
        return each


def expand(options: V4L2, devices: Sequence[DeviceFacts]) -> Mapping[str, DeviceFacts] | None:
    """The cameras of a template, by name; None where the entry is no template.

    A field that a device does not know is taken from its port. Of two devices with one name the first by port has it.
    """
    if options.each is None or options.match is None:
        return None
    found: dict[str, DeviceFacts] = {}
    for device in find(options.match, devices):
        values = {name: getattr(device, fact) or device.id_path for name, fact in TEMPLATE.items()}
        name = re.sub(r"[^a-z0-9_]+", "-", options.each.format_map(values).lower()).strip("-_")
        found.setdefault(name[:LONGEST_NAME].strip("-_") or "camera", device)
    return found


def explain(options: V4L2, device: DeviceFacts) -> Sequence[str]:
    """Why an entry does not mean a device; empty where it does."""
    if options.match is not None:
        return why_not(options.match, device)
    links = (device.device_path, device.path_by_id, device.path_by_path)
    return [] if options.path in links else [f"path is {device.device_path}, not {options.path}"]


def build(options: V4L2, context: SourceContext) -> SourceBuild:
    found = _find(options, context)
    if not found:
        return SourceBuild(None, missing=_missing(options, context))
    device = found[0]
    description: dict[str, Any] = {k: v for k, v in asdict(device).items() if v and k not in NOT_TOLD}
    if len(found) > 1:
        others = ", ".join(d.device_path for d in found[1:])
        description["ambiguous"] = (
            f"{len(found)} devices match; taken in the order of port and serial; others: {others}"
        )
    mode = options.mode
    refused = mode_refusal(device.modes, format=mode.input_format, size=mode.video_size, rate=mode.framerate)
    made = SourceBuild(
        _program(options, device.device_path, context),
        description=description,
        device=device.device_path,
        size=mode.video_size or "",
        controls=options.controls,
    )
    return replace(made, program=None, missing=refused, reason="ModeUnsupported") if refused else made


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
    cameras = [d for d in context.devices if d.role == "camera"]
    there = [f"{d.device_path} ({d.device_name or '?'}{', serial ' + d.serial if d.serial else ''})" for d in cameras]
    if len(there) > MOST_NAMED:
        there[MOST_NAMED:] = [f"{len(there) - MOST_NAMED} more (`vidops devices` tells why not)"]
    wanted = describe(options.match) if options.match else options.path
    return f"no device with {wanted}; there is {', '.join(there) or 'no camera at all'}"


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

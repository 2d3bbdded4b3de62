"""`type: v4l2loopback`: the graph's frames into a loopback device of the kernel's.

The device is there already: its number, label and `exclusive_caps` are the module's settings, made when it is
loaded (docs/how-to/v4l2loopback.md).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vidops.api import NodeContext, Program
from vidops_plugins.loopbacks.inlet import Inlet, program


class V4L2Loopback(Inlet):
    """Writes to /dev/video<video_nr>."""

    type: Literal["v4l2loopback"]
    video_nr: Annotated[int, Field(ge=0, le=511)]
    """The number that v4l2loopback was loaded with."""
    pix_fmt: str = "yuv420p"
    """What readers get; yuv420p and yuyv422 are read by everything."""


def build(options: V4L2Loopback, context: NodeContext) -> Program:
    device = f"/dev/video{options.video_nr}"
    writer = program(context, device, f="v4l2", pix_fmt=options.pix_fmt)
    return writer.model_copy(update={"loopback_device": device})

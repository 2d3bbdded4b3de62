"""`type: camera_out`: the graph's frames as a camera of their own, started on demand like any other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vidops.api import Name, NodeContext, Program
from vidops_plugins.loopbacks.inlet import Inlet, program

DEFAULT_QUALITY = 5


class CameraOut(Inlet):
    """Appears among the cameras."""

    type: Literal["camera_out"]
    name: Name | None = None
    """The camera's name; `<graph>-<node>` where none is given."""
    quality: Annotated[int, Field(ge=2, le=31)] = DEFAULT_QUALITY
    """Of the JPEG encoding: 2 is best, 31 is smallest."""


def name(options: CameraOut) -> str:
    return options.name or ""


def build(options: CameraOut, context: NodeContext) -> Program:
    camera = options.name or context.node.replace(".", "-")
    return program(
        context,
        context.output(camera),
        # JPEG's pixels have the full range, whatever a filter made of them.
        "scale=out_range=full",
        "format=yuv420p",
        f="mpjpeg",
        flush_packets=1,
        color_range="pc",
        strict="unofficial",
        **{"q:v": options.quality},
    )

"""What nodes with an input have, and the command that reads it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from vidops.api import FFMPEG, Name, Node, NodeContext, Program

LOGGING = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning")


class Inlet(Node):
    """A node that takes frames from another."""

    model_config = ConfigDict(populate_by_name=True)

    in_: Name = Field(alias="in")
    """The node of this graph whose frames it takes."""


def program(context: NodeContext, target: str, *filters: str, **output: Any) -> Program:
    """FFmpeg from the graph's camera through its filters, and then these, to `target`."""
    import ffmpeg

    # The hub's stream says all that probing would find out. Its times are the camera's clock's: of H.264, FFmpeg would
    # take them for a jump after the little that it looks at, so they are left as they are.
    stream = ffmpeg.input(
        context.input,
        f="matroska",
        copyts=None,
        start_at_zero=None,
        analyzeduration=0,
        probesize=32,
        fpsprobesize=0,
    )
    if context.filters or filters:
        output["vf"] = ",".join((*context.filters, *filters))
    words = stream.output(target, fps_mode="passthrough", **output).compile(cmd=FFMPEG)
    return Program(argv=(words[0], *LOGGING, *words[1:]), stop_timeout=3.0)

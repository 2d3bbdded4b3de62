"""`source: file`: a video file as a camera, played in real time and looped."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field

from vidops.api import Device, PermanentError, SourceBuild, SourceContext
from vidops_plugins.sources.command import DEFAULT_QUALITY, encoded


class File(Device):
    """A real video where no camera is."""

    source: Literal["file"]
    path: Annotated[str, Field(min_length=1)]
    """The file. Relative to the stack file."""
    loop: bool = True
    """Begin again at its end; otherwise the camera fails there, and is started again."""
    quality: Annotated[int, Field(ge=2, le=31)] = DEFAULT_QUALITY
    """Of the JPEG encoding: 2 is best, 31 is smallest."""


def build(options: File, context: SourceContext) -> SourceBuild:
    """What is wrong with the file (missing, no video) is FFmpeg's to say: it shows as the camera's state."""
    import ffmpeg

    if options.mode.input_format is not None:
        raise PermanentError("mode.input_format is a device's: a file is decoded as what it is")
    path = os.path.join(context.base_dir, options.path)
    loop = {"stream_loop": -1} if options.loop else {}
    # `file:` keeps a name with a colon from being taken for a protocol.
    stream = ffmpeg.input(f"file:{path}", re=None, **loop).video
    if options.mode.framerate:
        stream = stream.filter("fps", f"{options.mode.framerate:g}")
    if options.mode.video_size:
        width, _, height = options.mode.video_size.partition("x")
        stream = stream.filter("scale", width, height)
    return SourceBuild(
        encoded(stream, context, quality=options.quality),
        description={"device_name": os.path.basename(path), "driver": "file", "device_path": path},
    )

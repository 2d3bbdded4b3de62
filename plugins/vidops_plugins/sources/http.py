"""`source: http`: a camera, or another vidops, that sends multipart JPEG over HTTP. Its JPEGs pass untouched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vidops.api import FFMPEG, Program, SourceBuild, SourceContext
from vidops_plugins.sources.network import NetworkCamera, Url, described, network_input, refuse_mode


class HTTP(NetworkCamera):
    """A camera whose stream is `multipart/x-mixed-replace`, as of mjpg-streamer, ustreamer and many IP cameras."""

    source: Literal["http"]
    url: Annotated[Url, Field(pattern=r"^https?://[^\s'\\]+$")]
    """`http://host/path`, without credentials."""


def build(options: HTTP, context: SourceContext) -> SourceBuild:
    refuse_mode(options)
    words, script = network_input(options, options.url)
    target = ("-f", "mpjpeg", "-flush_packets", "1", context.output)
    program = Program(argv=(FFMPEG, *words, *target), secret_input=script, stop_timeout=3.0)
    return SourceBuild(program, description=described(options, "http", options.url))

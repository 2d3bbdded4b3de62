"""`source: rtsp`: an IP camera. H.264, HEVC and MJPEG pass through as they come."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vidops.api import FFMPEG, Program, SourceBuild, SourceContext
from vidops_plugins.sources.network import NetworkCamera, Url, described, network_input, refuse_mode


class RTSP(NetworkCamera):
    """A camera that speaks RTSP."""

    source: Literal["rtsp"]
    url: Annotated[Url, Field(pattern=r"^rtsps?://[^\s'\\]+$")]
    """`rtsp://host/path`, without credentials."""
    transport: Literal["tcp", "udp"] = "tcp"
    """How the video comes: tcp loses nothing, udp is for cameras and networks that want it."""


def build(options: RTSP, context: SourceContext) -> SourceBuild:
    refuse_mode(options)
    words, script = network_input(options, options.url, rtsp_transport=options.transport)
    # A cluster a packet, each written out at once: see `command.passed_on`.
    target = ("-f", "matroska", "-cluster_time_limit", "0", "-flush_packets", "1", context.output)
    program = Program(argv=(FFMPEG, *words, *target), secret_input=script, stop_timeout=3.0)
    return SourceBuild(program, description=described(options, "rtsp", options.url))

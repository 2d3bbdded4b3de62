"""What the FFmpeg commands of all sources share. Pure: a graph in, an argv out."""

from __future__ import annotations

from typing import Any

from vidops.api import FFMPEG, Program, SourceContext

LOGGING = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning")
"""The reason of a failure is the last line of the log, and a good run writes nothing."""

DEFAULT_QUALITY = 5
"""Of MJPEG encoding, 2 (best) to 31."""


def encoded(stream: Any, context: SourceContext, *, quality: int, chroma: str = "yuv420p") -> Program:
    """The program that makes JPEGs of `stream` (of ffmpeg-python) and delivers them to the hub.

    JPEG's pixels have the full range. Saying so by the range, and not by the old pixel formats (yuvj420p), is what
    FFmpeg takes without a warning; the scaler converts where the source's are limited.
    """
    stream = stream.filter("scale", out_range="full").filter("format", chroma)
    return delivered(stream, context, color_range="pc", strict="unofficial", **{"q:v": quality})


def delivered(stream: Any, context: SourceContext, **output: Any) -> Program:
    """The program that delivers `stream` to the hub as multipart JPEG.

    Each frame is written out at once (`flush_packets`): a viewer must not wait for a buffer to fill.
    """
    graph = stream.output(context.output, f="mpjpeg", flush_packets=1, **output)
    words = graph.compile(cmd=FFMPEG)
    return Program(argv=(words[0], *LOGGING, *words[1:]), stop_timeout=3.0)


def passed_on(stream: Any, context: SourceContext, **output: Any) -> Program:
    """The program that delivers `stream`'s packets to the hub as they are, in Matroska: for other codecs than JPEG.

    A cluster a packet (`cluster_time_limit`), each written out at once; FFmpeg ends one when the next packet is there.
    """
    words = stream.output(context.output, f="matroska", cluster_time_limit=0, flush_packets=1, **output).compile(
        cmd=FFMPEG
    )
    return Program(argv=(words[0], *LOGGING, *words[1:]), stop_timeout=3.0)


def encoded_as(stream: Any, context: SourceContext, encoder: str, *, rate: float, group: float = 1.0) -> Program:
    """The program that encodes `stream` without a frame of delay, a key frame every `group` seconds."""
    every = max(1, round(rate * group))
    return passed_on(
        stream.filter("format", "yuv420p"),
        context,
        **{"c:v": encoder, "preset": "ultrafast", "tune": "zerolatency", "g": every, "bf": 0},
        **({"x265-params": "log-level=error"} if encoder == "libx265" else {}),
    )

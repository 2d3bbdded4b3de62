"""`type: segments`: continuous recording into files of a duration, every frame as it came (stream copy).

A segment grows in the spool under the time it began and a run id; the keeper moves it to its place when it is
finished. Both formats stay playable wherever they are cut off: fragmented MP4 up to the last whole fragment,
Matroska up to the last whole cluster.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vidops.api import FFMPEG, RUN_ID, Capture, CaptureBuild, CaptureContext, Options, PositiveDuration, Program

FIELDS = ("device", "capture")
DIRECTIVES = "YmdHMSjyUuAaBbsfZzFT%"
"""Of strftime(3), as far as their result is a fit part of a file's name."""
SUFFIX = {"fmp4": ".mp4", "mkv": ".mkv"}
LONGEST = 86400.0
"""Seconds: FFmpeg counts a day's, and would cut at midnight anyway."""
CLOCK_LAG = 0.02
"""Seconds behind a whole multiple at which a file is begun. FFmpeg takes its name from a clock that is up to a
timer tick late, and would call every tenth file after the second before."""
MUXER = {"fmp4": "mp4", "mkv": "matroska"}


def check_path(path: str) -> str:
    """A template below the data directory: known fields, known directives, no way out."""
    plain = path.replace("{{", "").replace("}}", "")
    for field in re.findall(r"\{([^{}]*)\}", plain):
        if field not in FIELDS:
            raise ValueError(f"unknown field {{{field}}}: there are {', '.join('{' + f + '}' for f in FIELDS)}")
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", plain)):
        raise ValueError("a brace without its partner: write {{ and }} for braces themselves")
    for directive in re.findall(r"%(.?)", path, re.DOTALL):
        if directive not in DIRECTIVES or not directive:
            raise ValueError(f"%{directive} is no strftime directive for a file's name")
    parts = path.split("/")
    if path.startswith("/") or any(p in ("", ".", "..") or p.startswith(".") for p in parts):
        raise ValueError("a path below the data directory: relative, without '..', empty or hidden parts")
    if "\0" in path or len(path) > 400:
        raise ValueError("too long, or with a NUL")
    return path


PathTemplate = Annotated[str, Field(min_length=1), AfterValidator(check_path)]


def check_duration(seconds: float) -> float:
    if not 1.0 <= seconds <= LONGEST:
        raise ValueError("between 1s and 24h")
    return seconds


SegmentDuration = Annotated[PositiveDuration, AfterValidator(check_duration)]


class Segment(Options):
    duration: SegmentDuration = "60s"  # type: ignore[assignment]
    """How long a file is. Files begin at whole multiples of it by the clock, the first one when recording does."""
    path: PathTemplate = "{device}/%Y-%m-%d/%H-%M-%S"
    """Where a finished file goes, below the data directory: strftime, {device} and {capture}; no suffix."""
    format: Literal["fmp4", "mkv"] = "fmp4"
    """Fragmented MP4, or Matroska."""
    part_duration: PositiveDuration = "1s"  # type: ignore[assignment]
    """What a power cut or a kill may cost, at most."""


class Segments(Capture):
    """Records all the time."""

    type: Literal["segments"] = "segments"
    segment: Segment = Segment()
    codec: Literal["copy"] = "copy"
    """The camera's own frames, not encoded again."""
    utc: bool = False
    """Name files by UTC instead of the host's time zone."""


def build(options: Segments, context: CaptureContext) -> CaptureBuild:
    import ffmpeg

    segment = options.segment
    part = round(segment.part_duration * 1_000_000)
    if segment.format == "fmp4":
        muxing = f"movflags=+empty_moov+default_base_moof:frag_duration={part}:flush_packets=1"
    else:
        muxing = f"cluster_time_limit={max(1, part // 1000)}:flush_packets=1"
    suffix = SUFFIX[segment.format]
    # The hub's stream says all that probing would find out. Its times are the captures' own and are not touched, but
    # for the first one being zero: the segment muxer sets only the following files' to zero by itself.
    stream = ffmpeg.input(
        context.input,
        f="matroska",
        copyts=None,
        start_at_zero=None,
        analyzeduration=0,
        probesize=32,
        fpsprobesize=0,
    )
    output: dict[str, Any] = {
        "c": "copy",
        "f": "segment",
        "segment_time": f"{segment.duration:g}",
        "segment_atclocktime": 1,
        "segment_clocktime_offset": f"{CLOCK_LAG:g}",
        "reset_timestamps": 1,
        "strftime": 1,
        "segment_format": MUXER[segment.format],
        "segment_format_options": muxing,
    }
    words = stream.output(f"{context.spool.replace('%', '%%')}/%s-{RUN_ID}{suffix}", **output).compile(cmd=FFMPEG)
    return CaptureBuild(
        # SIGINT, not SIGTERM: both end the last segment properly, and this one exits at once.
        program=Program(
            argv=(words[0], "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", *words[1:]),
            directories=(context.spool,),
            stop_signal="INT",
        ),
        suffix=suffix,
        path=segment.path,
        utc=options.utc,
        stall_timeout=max(15.0, 3 * segment.part_duration),
    )

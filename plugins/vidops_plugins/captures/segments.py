"""`type: segments`: video into files of a duration, every frame as it came (stream copy) or encoded anew.

A segment grows in the spool under the time it began and a run id; the keeper moves it to its place when it is
finished. Both formats stay playable wherever they are cut off: fragmented MP4 up to the last whole fragment,
Matroska up to the last whole cluster.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vidops.api import FFMPEG, RUN_ID, Capture, CaptureBuild, CaptureContext, Options, PositiveDuration, Program
from vidops_plugins.captures.encoding import Audio, Encoding, Overlay, Picture

FIELDS = ("device", "capture")
DIRECTIVES = "YmdHMSjyUuAaBbsfZzFT%"
"""Of strftime(3), as far as their result is a fit part of a file's name."""
SUFFIX = {"fmp4": ".mp4", "mkv": ".mkv", "ts": ".ts"}
LONGEST = 86400.0
"""Seconds: FFmpeg counts a day's, and would cut at midnight anyway."""
CLOCK_LAG = 0.02
"""Seconds behind a whole multiple at which a file is begun. FFmpeg takes its name from a clock that is up to a
timer tick late, and would call every tenth file after the second before."""
MUXER = {"fmp4": "mp4", "mkv": "matroska", "ts": "mpegts"}


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
    format: Literal["fmp4", "mkv", "ts"] = "fmp4"
    """Fragmented MP4, Matroska, or an MPEG transport stream (which holds no MJPEG: encode it)."""
    part_duration: PositiveDuration = "1s"  # type: ignore[assignment]
    """What a power cut or a kill may cost, at most."""


class Segments(Capture):
    """Records video."""

    type: Literal["segments"] = "segments"
    segment: Segment = Segment()
    codec: Literal["copy"] | Encoding = "copy"
    """The camera's own frames, or how they are encoded anew."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Clockwise, in degrees; needs an encoding."""
    overlay: Overlay | None = None
    """Text in the picture; needs an encoding."""
    audio: Audio | None = None
    """Sound to go with it."""
    utc: bool = False
    """Name files by UTC instead of the host's time zone."""

    @model_validator(mode="after")
    def _possible(self) -> Segments:
        if self.codec == "copy":
            for name in ("rotate", "overlay"):
                if getattr(self, name):
                    raise ValueError(f"{name} changes the picture, and codec: copy does not: give it a codec, "
                                     "for example {video: libx264}")  # fmt: skip
        return self


def build(options: Segments, context: CaptureContext) -> CaptureBuild:
    import ffmpeg

    segment = options.segment
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
    picture = Picture(stream)
    if isinstance(options.codec, Encoding):
        picture = picture.rotated(options.rotate).with_text(options.overlay, utc=options.utc).encoded(options.codec)
    streams = [picture.stream]
    output: dict[str, Any] = {
        **picture.output,
        "f": "segment",
        "segment_time": f"{segment.duration:g}",
        "segment_atclocktime": 1,
        "segment_clocktime_offset": f"{CLOCK_LAG:g}",
        "reset_timestamps": 1,
        "strftime": 1,
        "segment_format": MUXER[segment.format],
        "segment_format_options": _muxing(segment),
    }
    if options.audio is not None:
        streams.append(options.audio.input().audio)
        output |= options.audio.output()
    target = f"{context.spool.replace('%', '%%')}/%s-{RUN_ID}{suffix}"
    words = ffmpeg.output(*streams, target, **output).compile(cmd=FFMPEG)
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


def _muxing(segment: Segment) -> str:
    """Options of the inner muxer, such that what it was given is in the file soon, and plays wherever that ends."""
    part = round(segment.part_duration * 1_000_000)
    match segment.format:
        case "fmp4":
            return f"movflags=+empty_moov+default_base_moof:frag_duration={part}:flush_packets=1"
        case "mkv":
            return f"cluster_time_limit={max(1, part // 1000)}:flush_packets=1"
        case _:
            return "flush_packets=1"

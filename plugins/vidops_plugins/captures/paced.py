"""Captures that do not take every frame: `snapshot`, `timelapse`, `motion`. Each is a process of vidops' own."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from vidops.api import (
    PYTHON,
    RUN_ID,
    Capture,
    CaptureBuild,
    CaptureContext,
    Duration,
    PositiveDuration,
    Program,
)
from vidops_plugins.captures.segments import PathTemplate, SegmentDuration

Interval = Annotated[PositiveDuration, Field(ge=1)]
PAUSES = "BetweenStills"
STILL = "NoMotion"


class Paced(Capture):
    path: PathTemplate = "{device}/%Y-%m-%d/%H-%M-%S"
    """Where a finished file goes, below the data directory: strftime, {device} and {capture}; no suffix."""
    utc: bool = False
    """Name files by UTC instead of the host's time zone."""


class Snapshot(Paced):
    """Takes stills. A camera that nobody watches is opened for each, and closed again."""

    type: Literal["snapshot"]
    every: Interval = "10s"  # type: ignore[assignment]
    """Time between two; they are taken at its whole multiples by the clock, the first one at once."""


class Timelapse(Paced):
    """Takes stills and makes them frames of a video."""

    type: Literal["timelapse"]
    every: Interval = "5s"  # type: ignore[assignment]
    """Time between two frames as they are taken."""
    fps: Annotated[float, Field(gt=0, le=120)] = 25
    """Frames a second as they are shown."""
    duration: SegmentDuration = "24h"  # type: ignore[assignment]
    """How long a file takes to record; files begin at whole multiples of it."""


class Motion(Paced):
    """Records while something moves, from a little before until a little after."""

    type: Literal["motion"]
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.02
    """How much of the picture has to change between two looks, by FFmpeg's scene score."""
    pre_roll: Duration = "5s"  # type: ignore[assignment]
    """What is recorded of the time before; at most 64 MiB of it."""
    post_roll: PositiveDuration = "10s"  # type: ignore[assignment]
    """How long recording goes on when nothing moves any more."""
    longest: SegmentDuration = "5m"  # type: ignore[assignment]
    """A clip of more than this is continued in another file."""


def build_snapshot(options: Snapshot, context: CaptureContext) -> CaptureBuild:
    return _built(options, context, ".jpg", PAUSES, "stills", every=options.every)


def build_timelapse(options: Timelapse, context: CaptureContext) -> CaptureBuild:
    words = {"every": options.every, "fps": options.fps, "duration": options.duration}
    return replace(_built(options, context, ".mkv", PAUSES, "timelapse", **words), realtime=False)


def build_motion(options: Motion, context: CaptureContext) -> CaptureBuild:
    words = {"threshold": options.threshold, "pre-roll": options.pre_roll, "post-roll": options.post_roll}
    return _built(options, context, ".mkv", STILL, "motion", longest=options.longest, **words)


def _built(
    options: Paced,
    context: CaptureContext,
    suffix: str,
    sparse: str,
    kind: str,
    **words: float,
) -> CaptureBuild:
    where = ("--run-dir", context.layout.run_dir, "--camera", context.camera, "--spool", context.spool)
    numbers = [text for name, value in words.items() for text in (f"--{name}", f"{value:g}")]
    return CaptureBuild(
        program=Program(
            argv=(PYTHON, "-m", "vidops.recorder", *where, "--run", RUN_ID, kind, *numbers),
            directories=(context.spool,),
        ),
        suffix=suffix,
        path=options.path,
        utc=options.utc,
        sparse=sparse,
    )

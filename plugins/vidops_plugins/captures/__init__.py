"""Built-in captures: what is written of a camera, and how."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import CaptureType, hookimpl
from vidops_plugins.captures import paced, segments


@hookimpl
def vidops_captures() -> Sequence[CaptureType]:
    return (
        CaptureType("segments", segments.Segments, segments.build, summary="Continuous video, in files by time."),
        CaptureType("snapshot", paced.Snapshot, paced.build_snapshot, summary="Stills now and then."),
        CaptureType("timelapse", paced.Timelapse, paced.build_timelapse, summary="Stills, as a video that runs fast."),
        CaptureType("motion", paced.Motion, paced.build_motion, summary="Video of what moves."),
    )

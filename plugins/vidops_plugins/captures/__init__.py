"""Built-in captures: what is written of a camera, and how."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import CaptureType, hookimpl
from vidops_plugins.captures import segments


@hookimpl
def vidops_captures() -> Sequence[CaptureType]:
    return (CaptureType("segments", segments.Segments, segments.build, summary="Continuous video, in files by time."),)

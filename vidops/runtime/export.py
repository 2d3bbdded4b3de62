"""A span of recordings as one file, cut and joined by FFmpeg without encoding."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence

from vidops.errors import PermanentError, TemporaryError
from vidops.runtime.files import UNFINISHED
from vidops.runtime.index import Recording
from vidops.runtime.programs import find_ffmpeg

MUXERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".ts": "mpegts"}
VIDEOS = (".mp4", ".mkv", ".ts")


def choose(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings of one capture, oldest first. Raises `PermanentError`: NothingRecorded, SeveralCaptures."""
    videos = sorted((r for r in recordings if r.path.endswith(VIDEOS)), key=lambda r: r.start)
    captures = sorted({r.capture for r in videos})
    if not videos:
        raise PermanentError("no video was recorded then: `vidops recordings` lists what was", reason="NothingRecorded")
    if len(captures) > 1:
        raise PermanentError(
            f"several captures have recorded then: say which one with --capture: {', '.join(captures)}",
            reason="SeveralCaptures",
        )
    return videos


def seconds_of(recordings: Sequence[Recording], begin: float, end: float) -> float:
    """How long the export of a span is."""
    return sum(max(0.0, min(r.end, end) - max(r.start, begin)) for r in recordings)


def export(
    data_dir: str,
    recordings: Sequence[Recording],
    *,
    begin: float,
    end: float,
    target: str,
    progress: Callable[[float], None] = lambda _: None,
) -> None:
    """Write the span of `recordings` (`choose`) to `target`, whose suffix says the format. Blocking.

    `progress` is told the seconds that are written. What is cut at key frames only (H.264) may begin a little earlier.
    The file is there when it is whole. Raises `PermanentError` where it cannot be, `TemporaryError` where FFmpeg ends.
    """
    muxer = MUXERS.get(os.path.splitext(target)[1])
    if muxer is None:
        raise PermanentError(f"{target}: the name must end in one of {', '.join(MUXERS)}", reason="BadFormat")
    unfinished = f"{target}{UNFINISHED}"
    with tempfile.NamedTemporaryFile("w", suffix=".ffconcat") as listing:
        listing.write(concat(data_dir, recordings, begin=begin, end=end))
        listing.flush()
        argv = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-f", "concat", "-safe", "0"]
        argv += ["-i", listing.name, "-map", "0", "-c", "copy", "-progress", "pipe:1"]
        if recordings[0].codec == "mjpeg" and recordings[0].start < begin:
            # Exact, where every frame is a key frame; a demuxer's own inpoint is not.
            argv += ["-ss", f"{begin - recordings[0].start:.6f}"]
        argv += ["-f", muxer, unfinished]
        try:
            _run(argv, progress)
            os.replace(unfinished, target)
        except OSError as error:
            raise PermanentError(f"{target}: {error.strerror}", reason="CannotWrite") from None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)


def concat(data_dir: str, recordings: Sequence[Recording], *, begin: float, end: float) -> str:
    """The list that FFmpeg's concat demuxer reads."""
    lines = ["ffconcat version 1.0"]
    for recording in recordings:
        lines.append(f"file {_quoted(f'{data_dir}/{recording.path}')}")
        lines.append(f"duration {recording.end - recording.start:.6f}")
        if recording.start < begin and recording.codec != "mjpeg":
            lines.append(f"inpoint {begin - recording.start:.6f}")
        if recording.end > end:
            lines.append(f"outpoint {end - recording.start:.6f}")
    return "\n".join([*lines, ""])


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def _run(argv: Sequence[str], progress: Callable[[float], None]) -> None:
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                name, _, value = line.strip().partition("=")
                if name == "out_time_us" and value.isdigit():
                    progress(int(value) / 1e6)
            said = process.stderr.read().strip().splitlines()
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise TemporaryError(f"FFmpeg could not write it: {said[-1] if said else process.returncode}", reason="Failed")

"""Recordings one after the other: when there is something to see, and an HLS playlist (RFC 8216) to see it by."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from vidops.errors import PermanentError
from vidops.runtime.index import Recording

JOINED = 1.0
"""Seconds between two recordings that are one span where the second one knows of no gap."""
BROWSERS_PLAY = ("h264", "hevc")
MAX_HEAD = 1024 * 1024
_CONTAINERS = (".mp4", ".ts")


def timeline(recordings: Sequence[Recording]) -> list[Mapping[str, object]]:
    """See `ports.Recordings.timeline`. Any order in; captures by name, spans and gaps by time out."""
    found: dict[str, list[Recording]] = {}
    for recording in sorted(recordings, key=lambda r: r.start):
        found.setdefault(recording.capture, []).append(recording)
    return [
        {"capture": capture, "camera": rows[-1].camera, "spans": _spans(rows), "gaps": _gaps(rows)}
        for capture, rows in sorted(found.items())
    ]


def _spans(rows: Sequence[Recording]) -> list[dict[str, float]]:
    spans: list[dict[str, float]] = []
    for row in rows:
        # What others have of that time is there, whatever this one lacks: files overlap where the clock was set.
        covered = spans[-1]["end"] if spans else row.start
        # Where something is missing for longer, the row says so; one that grows is told by whole seconds.
        if spans and not row.gap and row.start - spans[-1]["end"] <= JOINED:
            spans[-1]["end"] = max(spans[-1]["end"], row.end)
        else:
            spans.append({"start": row.start, "end": row.end})
        for hole in row.holes:
            begin, end = max(hole.start, covered), spans[-1]["end"]
            if begin < hole.end <= end:
                spans[-1]["end"] = begin
                spans.append({"start": hole.end, "end": end})
    return spans


def _gaps(rows: Sequence[Recording]) -> list[dict[str, object]]:
    gaps: list[dict[str, object]] = []
    for row in rows:
        if row.gap:
            gaps.append({"start": row.start - row.gap, "end": row.start, "reason": row.gap_reason})
        gaps += map(asdict, row.holes)
    return gaps


def playlist(data_dir: str, recordings: Sequence[Recording], locate: Callable[[str], str]) -> str:
    """See `ports.Recordings.playlist`. Blocking: the head of each file is read."""
    rows = sorted(recordings, key=lambda r: r.start)
    captures = sorted({r.capture for r in rows})
    if not rows:
        raise PermanentError("nothing was recorded then", reason="NothingRecorded")
    if len(captures) > 1:
        raise PermanentError(
            f"several captures have recorded then: say which one, {', '.join(captures)}", reason="SeveralCaptures"
        )
    fitting = [r for r in rows if r.codec in BROWSERS_PLAY and r.path.endswith(_CONTAINERS)]
    if not fitting:
        raise PermanentError(
            f"capture {captures[0]} records {rows[-1].codec or 'pictures'} as {os.path.splitext(rows[-1].path)[1]}: "
            "browsers play H.264 in fmp4 or ts; give it codec: {video: libx264}",
            reason="NotPlayable",
        )
    longest = max(math.ceil(r.end - r.start) for r in fitting)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{max(1, longest)}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for row in fitting:
        lines += _entry(data_dir, row, locate(row.path))
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _entry(data_dir: str, row: Recording, uri: str) -> list[str]:
    """Each file begins with its own zero of time: that is a discontinuity."""
    moment = datetime.fromtimestamp(row.start, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = ["#EXT-X-DISCONTINUITY", f"#EXT-X-PROGRAM-DATE-TIME:{moment}"]
    length = f"#EXTINF:{row.end - row.start:.3f},"
    if row.path.endswith(".ts"):
        return [*head, length, uri]
    size = head_size(f"{data_dir}/{row.path}")
    if not size:
        return []
    return [
        *head,
        f'#EXT-X-MAP:URI="{uri}",BYTERANGE="{size}@0"',
        length,
        f"#EXT-X-BYTERANGE:{row.bytes - size}@{size}",
        uri,
    ]


def head_size(path: str) -> int:
    """Bytes of a fragmented MP4 before its first fragment (ISO 14496-12); 0 where there is none."""
    try:
        with open(path, "rb") as file:
            position = 0
            for _ in range(20):
                file.seek(position)
                box = file.read(8)
                length = int.from_bytes(box[:4])
                if box[4:] in (b"moof", b"sidx", b"styp"):
                    return position
                if length < 8 or position + length > MAX_HEAD:
                    return 0
                position += length
    except OSError:
        pass
    return 0

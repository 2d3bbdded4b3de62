"""Segments: what their names say, where they go, whether they can be played. No state, no index.

In the spool, a segment is `<seconds since 1970>-<run id><suffix>`; below the data directory it is where the
capture's template says (strftime, `{device}`, `{capture}`).
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from vidops.resources.specs import CaptureSpec

SUFFIXES = (".mp4", ".mkv", ".webm", ".ts", ".mov", ".avi", ".mjpeg", ".h264", ".jpg", ".jpeg", ".png")
"""What an unknown file below the data directory must end with to be taken for a recording."""
_SPOOLED = re.compile(r"(?P<start>\d{1,11})-(?P<run>[0-9a-z]+_[0-9a-z]+)(?P<suffix>\.[0-9a-z.]+)")
_HEAD = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CaptureFiles:
    """What the keeper needs of a capture. `spool`: absolute; `path`: the template, without a suffix."""

    name: str
    camera: str
    spool: str
    suffix: str
    path: str
    utc: bool = False
    sparse: str = ""
    realtime: bool = True

    @classmethod
    def of(cls, name: str, spec: CaptureSpec) -> CaptureFiles:
        return cls(name, spec.camera, spec.spool, spec.suffix, spec.path, spec.utc, spec.sparse, spec.realtime)

    @property
    def entry(self) -> str:
        """What the stack file calls it: one entry may be of several cameras."""
        return self.name.partition(".")[0]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Spooled:
    """What a spooled segment's name says. `start`: Unix seconds."""

    start: int
    run: str
    suffix: str


def spooled(file_name: str) -> Spooled | None:
    """None for what is no segment (foreign files, FFmpeg's temporary ones)."""
    match = _SPOOLED.fullmatch(file_name)
    return Spooled(int(match["start"]), match["run"], match["suffix"]) if match else None


def destination(capture: CaptureFiles, start: float) -> str:
    """Where a segment that began at `start` goes: relative to the data directory, with its suffix.

    Raises `ValueError` for a template that leads out of it, or into a hidden directory (vidops' own are).
    """
    moment = time.gmtime(start) if capture.utc else time.localtime(start)
    path = time.strftime(capture.path, moment).replace("{device}", capture.camera).replace("{capture}", capture.entry)
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or any(part.startswith(".") or not part for part in parts):
        raise ValueError(
            f"the path {capture.path!r} of capture {capture.name} gives {path!r}: it must stay below the data "
            "directory and have no empty or hidden part"
        )
    return path + capture.suffix


_FIELDS = {"Y": r"\d{4}", "m": r"\d\d", "d": r"\d\d", "H": r"\d\d", "M": r"\d\d", "S": r"\d\d", "s": r"\d{1,11}"}


def identify(capture: CaptureFiles, path: str) -> float | None:
    """The start (Unix seconds) of a recording that this capture's template could have named; None for others.

    For files whose own notes (`index.note`) were lost, so to the second at best.
    """
    match = re.fullmatch(rf"{_backwards(capture)}(?:-\d+)?{re.escape(capture.suffix)}", path)
    if match is None:
        return None
    found = {name: int(value) for name, value in match.groupdict().items()}
    if "s" in found:
        return float(found["s"])
    if not {"Y", "m", "d"} <= found.keys():
        return None
    year, month, day, hour, minute, second = (found.get(field, 0) for field in "YmdHMS")
    try:
        if capture.utc:
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
        return datetime(year, month, day, hour, minute, second).timestamp()
    except (ValueError, OverflowError):
        return None


def _backwards(capture: CaptureFiles) -> str:
    """The capture's template as a regular expression with a group for each field of time."""
    fixed = {"{device}": re.escape(capture.camera), "{capture}": re.escape(capture.entry), "%%": "%"}
    seen: set[str] = set()

    def piece(match: re.Match[str]) -> str:
        text = match[0]
        if text in fixed:
            return fixed[text]
        if not text.startswith("%"):
            return re.escape(text)
        field = text[1:]
        if field not in _FIELDS:
            return "[^/]*"
        if field in seen:
            return f"(?P={field})"
        seen.add(field)
        return f"(?P<{field}>{_FIELDS[field]})"

    template = capture.path.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S")
    return re.sub(r"\{device\}|\{capture\}|%-?.|.", piece, template, flags=re.DOTALL)


def playable(path: str) -> bool:
    """Whether a file holds at least one picture, by its form alone (bounded reading; raises `OSError`).

    A recorder that is killed before its first picture leaves a header that no player can use.
    """
    suffix = os.path.splitext(path)[1]
    with open(path, "rb") as file:
        if suffix in (".mp4", ".mov"):
            return _has_media(file, os.fstat(file.fileno()).st_size)
        head = file.read(_HEAD)
    if suffix in (".mkv", ".webm"):
        # The Cluster element's ID (RFC 9559): pictures are in clusters.
        return b"\x1f\x43\xb6\x75" in head
    if suffix in (".jpg", ".jpeg"):
        return head.startswith(b"\xff\xd8") and len(head) > 4
    return bool(head)


def _has_media(file: BinaryIO, size: int) -> bool:
    """Whether an MP4 (ISO 14496-12) has pictures, and an index or a fragment's head to find them by."""
    described = pictures = False
    position = 0
    for _ in range(1000):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return False
        length, kind = int.from_bytes(head[:4]), head[4:8]
        described = described or kind in (b"moov", b"moof")
        # Begun is enough: what was cut off plays up to the cut.
        pictures = pictures or (kind == b"mdat" and size - position > 16)
        if described and pictures:
            return True
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8:
            return False
        position += length
    return False

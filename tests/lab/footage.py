"""What is on the guest's disk of a recording, read with FFmpeg and not with vidops."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from itertools import pairwise

from .guest import Guest

DATA = "/var/lib/vidops/recordings"


@dataclass(frozen=True, slots=True)
class Segment:
    """A file that FFmpeg can read. Seconds: `duration` by its own clock, `gap` the largest between two frames."""

    path: str
    frames: int
    duration: float
    gap: float


def files(guest: Guest, *, camera: str, finished: bool = True) -> list[str]:
    """Recorded files, oldest first: those in place, or all of them with the unfinished ones."""
    where = f"{DATA}/{camera}" + ("" if finished else f" {DATA}/.spool")
    listing = guest.run(f"find {where} -type f -size +0 -printf '%T@ %p\\n' 2>/dev/null | sort -n; true")
    return [line.partition(" ")[2] for line in listing.splitlines()]


def probe(guest: Guest, path: str) -> Segment:
    """Read a segment packet by packet. One that cannot be read has no frames."""
    command = "ffprobe -v error -select_streams v -show_entries packet=pts_time,duration_time -of json"
    done = guest.ssh.run(f"{command} {shlex.quote(path)}", timeout=120)
    packets = json.loads(done.stdout or "{}").get("packets", [])
    times = sorted(float(p["pts_time"]) for p in packets if "pts_time" in p)
    if not times:
        return Segment(path, 0, 0.0, 0.0)
    gaps = [b - a for a, b in pairwise(times)]
    last = float(packets[-1].get("duration_time", 0.0))
    return Segment(path, len(times), times[-1] - times[0] + last, max(gaps, default=0.0))


def digests(guest: Guest, path: str) -> list[str]:
    """SHA-256 of each frame's data as it lies in the file, in order, as far as the file can be read."""
    done = guest.ssh.run(
        f"ffmpeg -nostdin -v error -i {shlex.quote(path)} -map 0:v -c copy -f framehash -hash sha256 -", timeout=120
    )
    rows = (line.rpartition(",")[2].strip() for line in done.stdout.splitlines() if not line.startswith("#"))
    return [row for row in rows if row]


def decodes(guest: Guest, path: str) -> str:
    """What FFmpeg complains of when it decodes all of a file; empty for a sound one."""
    decode = "ffprobe -v error -select_streams v -count_frames -show_entries stream=nb_read_frames -of csv=p=0"
    done = guest.ssh.run(f"{decode} {shlex.quote(path)}", timeout=180)
    return done.stderr.strip() or ("" if done.returncode == 0 else f"exit {done.returncode}")

"""The index of finished recordings: SQLite beside the files, always to be had again from the files themselves.

What the index knows of a file is also noted on the file (extended attribute `user.vidops`), so that a rebuilt
index says the same; where the file system keeps no notes, the capture's template is read backwards.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from math import inf
from typing import Any

from vidops.resources.layout import Layout
from vidops.runtime.database import Database
from vidops.runtime.media import MOST_HOLES, Media, inspect
from vidops.runtime.segments import SUFFIXES, CaptureFiles, identify, playable

ATTRIBUTE = "user.vidops"
COMPLETE, ENDED, FOUND = "complete", "ended", "found"
"""Why a segment is finished: the next one began; its recorder ended; it lay there unindexed."""
NO_FRAMES = "NoFrames"
"""Why frames are missing within a file, where nobody saw a reason: its recorder lived and was given none."""
MIGRATIONS = (
    """
    CREATE TABLE recordings (
        number INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        capture TEXT NOT NULL,
        start REAL NOT NULL,
        end REAL NOT NULL,
        bytes INTEGER NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
    CREATE INDEX recordings_by_camera ON recordings (camera, start);
    CREATE INDEX recordings_by_start ON recordings (start);
    """,
    """
    ALTER TABLE recordings ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX recordings_that_may_go ON recordings (capture, start) WHERE kept = 0;
    """,
    """
    ALTER TABLE recordings ADD COLUMN frames INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE recordings ADD COLUMN codec TEXT NOT NULL DEFAULT '';
    ALTER TABLE recordings ADD COLUMN gap REAL NOT NULL DEFAULT 0;
    ALTER TABLE recordings ADD COLUMN gap_reason TEXT NOT NULL DEFAULT '';
    CREATE INDEX recordings_by_capture ON recordings (capture, end);
    """,
    """
    CREATE TABLE uploads (
        path TEXT NOT NULL,
        upload TEXT NOT NULL,
        confirmed TEXT NOT NULL DEFAULT '',
        remembered TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (path, upload)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE recordings ADD COLUMN holes TEXT NOT NULL DEFAULT '[]';
    """,
)
_COLUMNS = "path, camera, capture, start, end, bytes, reason, kept, frames, codec, gap, gap_reason, holes"
_INSERT = f"INTO recordings ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"
_ALWAYS_NOTED = ("camera", "capture", "start", "end", "reason")
_NOTED = (*_ALWAYS_NOTED, "kept", "frames", "codec", "gap", "gap_reason", "holes")
MAX_TIME = 1e12
_DEPTH = 16
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Hole:
    """What is missing within a file. Unix seconds."""

    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished segment. `path`: relative to the data directory; `start`, `end`: Unix seconds.

    `kept`: retention leaves it alone. `frames` 0 and `codec` empty: unknown. `gap`: seconds before it of which the
    capture has nothing, though it had something earlier; `gap_reason`: why. `holes`: what is missing within it.
    """

    path: str
    camera: str
    capture: str
    start: float
    end: float
    bytes: int
    reason: str
    kept: bool = False
    frames: int = 0
    codec: str = ""
    gap: float = 0.0
    gap_reason: str = ""
    holes: tuple[Hole, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "finished": True}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for; empty: any. `begin` and `end`: what overlaps that time, Unix seconds."""

    camera: str = ""
    capture: str = ""
    begin: float = 0.0
    end: float = inf
    limit: int = 100

    def fits(self, recording: Recording) -> bool:
        return (
            self.camera in ("", recording.camera)
            and self.capture in ("", recording.capture)
            and recording.start < self.end
            and recording.end >= self.begin
        )


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a comparison with the disk changed; `trouble` says why it could not be made."""

    added: int = 0
    dropped: int = 0
    trouble: str = ""


class RecordingsIndex:
    """Blocking, safe from any thread. Methods raise `TemporaryError` where SQLite refuses."""

    def __init__(self, layout: Layout) -> None:
        """Open or make it; a corrupt one is moved aside (`moved_aside`), and needs `reconcile`."""
        self.data_dir = layout.data_dir
        self._database = Database(layout.recordings_index, MIGRATIONS)
        self.moved_aside = self._database.moved_aside

    @property
    def lost(self) -> bool:
        return self._database.lost

    def close(self) -> None:
        self._database.close()

    def add(self, recordings: Sequence[Recording]) -> None:
        """Add or replace, by path."""
        # Not durable by itself: what a power cut takes from the index is on the files.
        with self._database.transaction(durable=False) as connection:
            connection.executemany(f"INSERT OR REPLACE {_INSERT}", map(_row, recordings))

    def newest(self, wanted: Wanted = Wanted()) -> list[Recording]:
        """By start, newest first."""
        return newest(self._database.read, wanted)

    def oldest(self, capture: str, limit: int, uploads: Sequence[str] = ()) -> list[Recording]:
        """Of those of a capture that may go, the oldest first: not kept, and confirmed by all these uploads."""
        done = " AND EXISTS (SELECT 1 FROM uploads u WHERE u.path = r.path AND u.upload = ? AND u.confirmed != '')"
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM recordings r WHERE capture = ? AND kept = 0{done * len(uploads)} "  # noqa: S608
            "ORDER BY start, path LIMIT ?",
            capture,
            *uploads,
            limit,
        )
        return [_recording(row) for row in rows]

    def bytes_of(self, capture: str) -> int:
        """Bytes of all recordings of a capture that may go."""
        rows: list[tuple[Any, ...]] = self._database.read(
            "SELECT COALESCE(SUM(bytes), 0) FROM recordings WHERE capture = ? AND kept = 0", capture
        )
        return int(rows[0][0])

    def last_end(self, capture: str) -> float | None:
        """When the newest recording of a capture ends; None where it has none."""
        rows: list[tuple[Any, ...]] = self._database.read("SELECT MAX(end) FROM recordings WHERE capture = ?", capture)
        return None if rows[0][0] is None else float(rows[0][0])

    def find(self, path: str) -> Recording | None:
        """The recording at a path."""
        return next(iter(by_path(self._database.read, path)), None)

    def keep(self, path: str, kept: bool) -> bool:
        """Have retention leave a recording alone, or not any more. Whether there is such a one."""
        recording = self.find(path)
        if recording is None:
            return False
        note(f"{self.data_dir}/{path}", replace(recording, kept=kept))
        with self._database.transaction() as connection:
            connection.execute("UPDATE recordings SET kept = ? WHERE path = ?", (int(kept), path))
        return True

    def forget(self, paths: Sequence[str]) -> None:
        """Drop the rows of files that are gone."""
        with self._database.transaction(durable=False) as connection:
            connection.executemany("DELETE FROM recordings WHERE path = ?", [(path,) for path in paths])
            connection.executemany("DELETE FROM uploads WHERE path = ?", [(path,) for path in paths])

    # -- uploads

    def unconfirmed(self, upload: str, limit: int) -> list[tuple[Recording, str]]:
        """Recordings that an upload has not confirmed, oldest first, each with what was remembered of it."""
        rows: list[tuple[Any, ...]] = self._database.read(
            f"SELECT {', '.join('r.' + c for c in _COLUMNS.split(', '))}, coalesce(u.remembered, '') "  # noqa: S608
            "FROM recordings r LEFT JOIN uploads u ON u.path = r.path AND u.upload = ? "
            "WHERE r.capture != '' AND coalesce(u.confirmed, '') = '' ORDER BY r.start LIMIT ?",
            upload,
            limit,
        )
        return [(_recording(row[:-1]), str(row[-1])) for row in rows]

    def note_upload(self, upload: str, path: str, *, confirmed: str = "", remembered: str = "") -> None:
        """What an upload has to say of a recording; on disk when this returns."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO uploads (path, upload, confirmed, remembered) VALUES (?, ?, ?, ?)",
                (path, upload, confirmed, remembered),
            )

    def reconcile(self, captures: Sequence[CaptureFiles] = ()) -> Reconciled:
        """Make the index say what is on disk: drop rows without a file, add files without a row.

        One walk over the tree, and a closer look at unknown files only: 100,000 known files take about a second.
        May run beside `add`.
        """
        rows: list[tuple[Any, ...]] = self._database.read("SELECT path FROM recordings")
        missing = {path for (path,) in rows}
        added = 0
        batch: list[Recording] = []
        for path in _walk(self.data_dir):
            if path in missing:
                missing.discard(path)
                continue
            with contextlib.suppress(OSError):
                if playable(f"{self.data_dir}/{path}"):
                    batch.append(_recognise(self.data_dir, path, captures))
            if len(batch) >= _BATCH:
                added += self._add_new(batch)
                batch.clear()
        added += self._add_new(batch)
        # Looked at once more: the walk may have passed by before a file was put there.
        gone = [path for path in missing if not os.path.lexists(f"{self.data_dir}/{path}")]
        with self._database.transaction(durable=False) as connection:
            connection.executemany("DELETE FROM recordings WHERE path = ?", [(path,) for path in gone])
        return Reconciled(added, len(gone))

    def _add_new(self, recordings: Sequence[Recording]) -> int:
        """Add those that are not there (yet); how many were."""
        with self._database.transaction(durable=False) as connection:
            return connection.executemany(f"INSERT OR IGNORE {_INSERT}", map(_row, recordings)).rowcount


def newest(read: Callable[..., Any], wanted: Wanted) -> list[Recording]:
    """The newest recordings through any function that reads rows (`read(sql, *values)`)."""
    # A condition for each thing that is asked for alone, so that an index fits it.
    conditions = ["start < ?", "end >= ?"]
    values: list[object] = [min(wanted.end, MAX_TIME), wanted.begin]
    for column in ("camera", "capture"):
        if value := getattr(wanted, column):
            conditions.append(f"{column} = ?")
            values.append(value)
    where = f"WHERE {' AND '.join(conditions)} ORDER BY start DESC, number DESC LIMIT ?"
    rows = read(f"SELECT {_COLUMNS} FROM recordings {where}", *values, wanted.limit)  # noqa: S608 - constants
    return [_recording(row) for row in rows]


def by_path(read: Callable[..., Any], path: str) -> list[Recording]:
    """The recording at a path, as `newest` reads."""
    return [_recording(row) for row in read(f"SELECT {_COLUMNS} FROM recordings WHERE path = ?", path)]  # noqa: S608


def _recording(row: Sequence[Any]) -> Recording:
    *values, holes = row
    recording = Recording(*values)
    # SQLite has no booleans and no lists.
    return replace(recording, kept=bool(recording.kept), holes=_told(json.loads(holes)))


def _told(holes: Any) -> tuple[Hole, ...]:
    """Holes as they are written. Raises `ValueError`, `TypeError` for what is none."""
    return tuple(Hole(float(start), float(end), str(reason)) for start, end, reason in holes)


def _noted(holes: Any, start: float, end: float) -> tuple[Hole, ...]:
    """Holes as a file's notes have them, which anybody may have written. Raises as `_told`."""
    told, until = _told(holes[:MOST_HOLES]), start
    for hole in told:
        # Not a number is in no order either.
        if not until <= hole.start <= hole.end <= end:
            raise ValueError("holes that are none")
        until = hole.end
    return told


def note(path: str, recording: Recording) -> None:
    """Write what is known of a recording onto its file; file systems without notes go without."""
    known = {**asdict(recording), "holes": list(map(astuple, recording.holes))}
    kept = {name: known[name] for name in _NOTED if known[name] or name in _ALWAYS_NOTED}
    with contextlib.suppress(OSError):
        os.setxattr(path, ATTRIBUTE, json.dumps(kept).encode())


def _row(recording: Recording) -> tuple[Any, ...]:
    *values, holes = astuple(recording)
    return (*values, json.dumps(holes))


def _recognise(data_dir: str, path: str, captures: Sequence[CaptureFiles]) -> Recording:
    """What can be known of a file: from its notes, from a template that fits its name, or from its times alone."""
    info = os.stat(f"{data_dir}/{path}")
    try:
        kept = json.loads(os.getxattr(f"{data_dir}/{path}", ATTRIBUTE))
        return Recording(
            path,
            str(kept["camera"]),
            str(kept["capture"]),
            float(kept["start"]),
            float(kept["end"]),
            info.st_size,
            str(kept["reason"]),
            kept.get("kept") is True,
            int(kept.get("frames", 0)),
            str(kept.get("codec", "")),
            float(kept.get("gap", 0)),
            str(kept.get("gap_reason", "")),
            _noted(kept.get("holes", ()), float(kept["start"]), float(kept["end"])),
        )
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        # None, or not ours.
        pass
    media = inspect(f"{data_dir}/{path}")
    facts: dict[str, Any] = {"frames": media.frames, "codec": media.codec} if media else {}
    for capture in captures:
        start = identify(capture, path)
        if start is not None:
            end = start + media.duration if media else max(start, info.st_mtime)
            facts["holes"] = holes_in(media, start, capture)
            return Recording(path, capture.camera, capture.name, start, end, info.st_size, FOUND, **facts)
    begin = info.st_mtime - (media.duration if media else 0.0)
    return Recording(path, "", "", begin, info.st_mtime, info.st_size, FOUND, **facts)


def holes_in(
    media: Media | None, start: float, capture: CaptureFiles, why: Callable[[float, float], str] = lambda *_: ""
) -> tuple[Hole, ...]:
    """What is missing within a file of that capture that begins at `start`; `why(from, to)` may know the reason."""
    if media is None or not capture.realtime:
        return ()
    spans = [(round(start + begin, 3), round(start + end, 3)) for begin, end in media.holes]
    return tuple(Hole(*span, why(*span) or NO_FRAMES) for span in spans)


def _walk(data_dir: str) -> Iterator[str]:
    """Recordings below the data directory, by relative path. Follows no links, enters no hidden directory."""
    pending = [("", 0)]
    while pending:
        folder, depth = pending.pop()
        # A directory that vanishes or cannot be read takes its own files out, and nobody else's.
        with contextlib.suppress(OSError), os.scandir(f"{data_dir}/{folder}") as entries:
            for entry in entries:
                # Names that are no text cannot be ours, nor stored or shown.
                if entry.name.startswith(".") or not entry.name.isprintable():
                    continue
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if depth < _DEPTH:
                        pending.append((path, depth + 1))
                elif entry.name.endswith(SUFFIXES) and entry.is_file(follow_symlinks=False):
                    yield path

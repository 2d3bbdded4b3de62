"""What must outlast the control plane: revisions, the inventory of what was made, events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vidops.planning.plan import Applied
from vidops.resources.layout import Layout
from vidops.resources.resource import Ref
from vidops.runtime.database import Database

REVISIONS_KEPT = 200
EVENTS_KEPT = 10_000

COMMITTED, FAILED = "committed", "failed"

_MIGRATIONS = (
    """
    CREATE TABLE revisions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        time REAL NOT NULL,
        path TEXT NOT NULL,
        texts TEXT NOT NULL,
        message TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('committed', 'failed'))
    ) STRICT;
    CREATE TABLE inventory (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        data TEXT NOT NULL,
        generation INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        time REAL NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        message TEXT NOT NULL,
        data TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE asked (capture TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE mounts (directory TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    """,
)


@dataclass(frozen=True, slots=True)
class Revision:
    """A stack file as it was applied. `texts`: the source of every file of it, by path; `time`: Unix seconds."""

    number: int
    time: float
    path: str
    texts: Mapping[str, str]
    message: str = ""
    status: str = COMMITTED


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `number` grows by one; `time`: Unix seconds."""

    number: int
    time: float
    kind: str
    subject: str
    message: str
    data: Mapping[str, Any]


class State:
    """The state database of one host. Blocking, and safe to call from any thread.

    Methods raise `TemporaryError` (reason `DiskFull`, `Corrupt`, `StateError`) where SQLite refuses.
    """

    def __init__(self, layout: Layout, now: Callable[[], float] = time.time) -> None:
        """Open or make it. A corrupt file is moved aside, and an event (`StateRebuilt`) says so.

        Raises `PermanentError` where the state directory cannot be used.
        """
        self._now = now
        self._database = Database(layout.database, _MIGRATIONS)
        if aside := self._database.moved_aside:
            self.event(
                "StateRebuilt",
                layout.database,
                f"the state database was corrupt: it was moved to {aside}, and begun anew without its history",
                {"moved_to": aside},
            )

    def close(self) -> None:
        self._database.close()

    # -- revisions

    def commit(self, path: str, texts: Mapping[str, str], message: str) -> Revision:
        """Add a revision that is applied; on disk when this returns."""
        return self._add(path, texts, message, COMMITTED)

    def fail(self, path: str, texts: Mapping[str, str], message: str) -> Revision:
        """Add a revision that could not be applied; `message` says why."""
        return self._add(path, texts, message, FAILED)

    def _add(self, path: str, texts: Mapping[str, str], message: str, status: str) -> Revision:
        now = self._now()
        with self._database.transaction() as connection:
            number = connection.execute(
                "INSERT INTO revisions (time, path, texts, message, status) VALUES (?, ?, ?, ?, ?)",
                (now, path, json.dumps(dict(texts)), message, status),
            ).lastrowid
            # The newest committed one stays whatever failed after it: it is what a host goes back to.
            connection.execute(
                "DELETE FROM revisions WHERE number <= ? AND number < "
                "(SELECT max(number) FROM revisions WHERE status = 'committed')",
                ((number or 0) - REVISIONS_KEPT,),
            )
        return Revision(number or 0, now, path, dict(texts), message, status)

    def last(self) -> Revision | None:
        """The newest committed revision."""
        return next(iter(self._revisions("WHERE status = 'committed' ORDER BY number DESC LIMIT 1")), None)

    def revision(self, number: int) -> Revision | None:
        return next(iter(self._revisions("WHERE number = ?", number)), None)

    def history(self, limit: int = 50) -> list[Revision]:
        """Newest first, failed ones too."""
        return self._revisions("ORDER BY number DESC LIMIT ?", limit)

    def _revisions(self, where: str, *values: object) -> list[Revision]:
        rows: list[tuple[Any, ...]] = self._database.read(
            f"SELECT number, time, path, texts, message, status FROM revisions {where}",  # noqa: S608 - constants
            *values,
        )
        return [
            Revision(number, time, path, json.loads(texts), message, status)
            for number, time, path, texts, message, status in rows
        ]

    # -- inventory

    def inventory(self) -> dict[Ref, Applied]:
        """Everything that was made and not deleted since."""
        rows: list[tuple[Any, ...]] = self._database.read(
            "SELECT kind, name, data, fingerprint, generation FROM inventory ORDER BY kind, name"
        )
        refs = ((Ref(kind, name), rest) for kind, name, *rest in rows)
        return {ref: Applied(ref, json.loads(data), mark, generation) for ref, (data, mark, generation) in refs}

    def note(self, ref: Ref, applied: Applied | None) -> None:
        """Remember a resource, or (None) that it is gone; on disk when this returns."""
        with self._database.transaction() as connection:
            if applied is None:
                connection.execute("DELETE FROM inventory WHERE kind = ? AND name = ?", (ref.kind, ref.name))
                return
            connection.execute(
                "INSERT INTO inventory (kind, name, fingerprint, data, generation) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, data = excluded.data, "
                "generation = excluded.generation",
                (ref.kind, ref.name, applied.fingerprint, json.dumps(applied.data), applied.generation),
            )

    # -- captures that record on demand

    def asked(self) -> set[str]:
        """Those that were asked to record, and not to stop since."""
        rows: list[tuple[Any, ...]] = self._database.read("SELECT capture FROM asked")
        return {name for (name,) in rows}

    def ask(self, capture: str, on: bool) -> None:
        """Remember that a capture was asked to record, or to stop; on disk when this returns."""
        with self._database.transaction() as connection:
            if on:
                connection.execute("INSERT OR IGNORE INTO asked VALUES (?)", (capture,))
            else:
                connection.execute("DELETE FROM asked WHERE capture = ?", (capture,))

    # -- disks that recordings go to

    def mounts(self) -> set[str]:
        """Directories that something was mounted on while recordings went there."""
        rows: list[tuple[Any, ...]] = self._database.read("SELECT directory FROM mounts")
        return {directory for (directory,) in rows}

    def remember_mount(self, directory: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO mounts VALUES (?)", (directory,))

    def forget_mount(self, directory: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM mounts WHERE directory = ?", (directory,))

    # -- events

    def event(self, kind: str, subject: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        """Add an event; the oldest go when there are more than `EVENTS_KEPT`. A power cut may cost the last ones."""
        with self._database.transaction(durable=False) as connection:
            number = connection.execute(
                "INSERT INTO events (time, kind, subject, message, data) VALUES (?, ?, ?, ?, ?)",
                (self._now(), kind, subject, message, json.dumps(dict(data or {}))),
            ).lastrowid
            connection.execute("DELETE FROM events WHERE number <= ?", ((number or 0) - EVENTS_KEPT,))

    def events(self, limit: int = 100, *, subject: str = "") -> list[Event]:
        """Newest first; of one subject, where it is given."""
        rows: list[tuple[Any, ...]] = self._database.read(
            "SELECT number, time, kind, subject, message, data FROM events "
            "WHERE ?1 = '' OR subject = ?1 ORDER BY number DESC LIMIT ?2",
            subject,
            limit,
        )
        return [
            Event(number, time, kind, about, message, json.loads(data))
            for number, time, kind, about, message, data in rows
        ]

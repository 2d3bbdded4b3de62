"""What is stored, once more in a file: more than memory holds, and there after a restart. An SQLite database, 0600.

One thread does all of it, in the order in which it is asked: what was dropped is not found by who asks later. A disk
that fails costs the file and nothing else; since what was dropped might be in it, it is not read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from vidops_plugins.middleware.cache.rules import Stored

T = TypeVar("T")
Key = tuple[str, ...]
VERSION = 2
"""Of the file: what keys are made of and what counts as an answer's size, too."""
MOST_WAITING = 64
"""Writes that wait for the disk; what comes on top is not written, only what was there before is dropped."""
MOST_DROPS = 10_000
"""Of whatever waits for the disk; who has more to say gives it up."""
PATIENCE = 1.0
"""Seconds that a request, or a route's start or end, waits for the disk; then it is as if nothing were there."""
_EVICTED_AT_ONCE = 16
_POOLS: WeakValueDictionary[str, ThreadPoolExecutor] = WeakValueDictionary()
_SCHEMA = f"""
CREATE TABLE answers (
    key TEXT NOT NULL, about TEXT NOT NULL, body BLOB NOT NULL, size INTEGER NOT NULL, used REAL NOT NULL
);
CREATE INDEX by_key ON answers (key);
CREATE INDEX by_use ON answers (used);
PRAGMA user_version = {VERSION};
"""


class Disk:
    """`limit`: bytes of what is kept; what was neither written nor read for longest goes first. `log` takes records.

    `names`: what other files in the directory may be called, without suffix, once this one is used; the rest is
    removed, since a file goes with its route.
    """

    def __init__(
        self, path: str, limit: int, log: Callable[[Mapping[str, Any]], None], names: Callable[[], Collection[str]]
    ) -> None:
        self.path = path
        self._names: Callable[[], Collection[str]] | None = names
        self._limit = limit
        self._log = log
        # One for all that were ever at this place: what the one before has still to do comes first.
        self._pool = _POOLS.setdefault(path, ThreadPoolExecutor(1, "cache"))
        self._database: sqlite3.Connection | None = None
        self._size = 0
        self._waiting = 0
        self._counting = threading.Lock()
        self._over = False
        self._hangs = False
        """Whether somebody has waited in vain, and nothing has come of it yet: then nobody else asks."""

    async def open(self) -> None:
        """Take over what is there. A file that cannot be used, or not yet, is no reason not to serve."""
        await _patiently(self._do(self._open, None))

    async def close(self) -> None:
        closed = self._do(self._close, None)
        self._over = True
        await _patiently(closed)

    async def of(self, key: Key) -> Sequence[Stored]:
        if self._names is not None:
            keep, self._names = {*self._names(), os.path.basename(self.path).partition(".")[0]}, None
            self._do(lambda: self._clean(keep), None)
        if self._hangs:
            return ()
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.wrap_future(self._do(lambda: self._of(key), ()))
        except TimeoutError:
            self._hangs = True
        return ()

    def put(self, key: Key, variants: Sequence[Stored]) -> None:
        """In the place of all that is there of this key."""
        if self._waiting >= MOST_DROPS:
            self._give_up()
        if self._waiting >= MOST_WAITING:
            variants = ()
        self._do(lambda: self._put(key, variants), None)

    def drop(self, key: Key) -> None:
        self.put(key, ())

    # -- in the thread -----------------------------------------------------------------------------------------

    def _do(self, work: Callable[[], T], otherwise: T) -> Future[T]:
        def guarded() -> T:
            try:
                return work()
            except (sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
                self._failed(error)
                return otherwise
            finally:
                self._hangs = False

        if self._over:
            over: Future[T] = Future()
            over.set_result(otherwise)
            return over
        self._count(1)
        asked = self._pool.submit(guarded)
        # Whether it was done, or whoever waited for it went away.
        asked.add_done_callback(lambda _: self._count(-1))
        return asked

    def _give_up(self) -> None:
        """The disk hangs, and so do too many changes for it: without them what it holds is no good."""
        error = TimeoutError(f"{self._waiting} changes wait for it")
        self._do(lambda: self._failed(error), None)
        self._over = True

    def _count(self, change: int) -> None:
        with self._counting:
            self._waiting += change

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        try:
            self._connect()
        except sqlite3.DatabaseError:
            # Cut off, or of another version: it is only a cache.
            self._remove()
            self._connect()

    def _connect(self) -> None:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                if version:
                    raise sqlite3.DatabaseError(f"version {version}")
                database.executescript(_SCHEMA)
            (self._size,) = database.execute("SELECT COALESCE(SUM(size), 0) FROM answers").fetchone()
        except BaseException:
            database.close()
            raise
        self._database = database
        self._evict(database)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _of(self, key: Key) -> Sequence[Stored]:
        if self._database is None:
            return ()
        name = json.dumps(key)
        rows = self._database.execute("SELECT about, body FROM answers WHERE key = ?", (name,)).fetchall()
        if rows:
            self._database.execute("UPDATE answers SET used = ? WHERE key = ?", (time.time(), name))
        return [_stored(json.loads(about), body) for about, body in rows]

    def _put(self, key: Key, variants: Sequence[Stored]) -> None:
        database = self._database
        if database is None:
            return
        name, now = json.dumps(key), time.time()
        # The key is in the index, too.
        more = 2 * len(name)
        rows = [(name, json.dumps(_about(stored)), stored.body, stored.size + more, now) for stored in variants]
        with contextlib.closing(database.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                (before,) = cursor.execute(
                    "SELECT COALESCE(SUM(size), 0) FROM answers WHERE key = ?", (name,)
                ).fetchone()
                cursor.execute("DELETE FROM answers WHERE key = ?", (name,))
                cursor.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", rows)
                cursor.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    cursor.execute("ROLLBACK")
                raise
        self._size += sum(row[3] for row in rows) - before
        self._evict(database)

    def _evict(self, database: sqlite3.Connection) -> None:
        while self._size > self._limit:
            oldest = "SELECT rowid, size FROM answers ORDER BY used LIMIT ?"
            rows = database.execute(oldest, (_EVICTED_AT_ONCE,)).fetchall()
            if not rows:
                break
            for rowid, size in rows:
                if self._size <= self._limit:
                    break
                database.execute("DELETE FROM answers WHERE rowid = ?", (rowid,))
                self._size -= size

    def _clean(self, keep: Collection[str]) -> None:
        if self._database is None:
            return
        folder = os.path.dirname(self.path)
        for name in os.listdir(folder):
            if name.partition(".")[0] not in keep:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{folder}/{name}")

    def _failed(self, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}"
        self._log({"level": "warning", "event": "cache_disk_failed", "path": self.path, "error": said})
        with contextlib.suppress(sqlite3.Error):
            self._close()
        self._database = None
        with contextlib.suppress(OSError):
            self._remove()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + suffix)


async def _patiently(asked: Future[None]) -> None:
    """Wait for what is done in any case, as long as it takes and no longer than `PATIENCE`."""
    await asyncio.wait([asyncio.wrap_future(asked)], timeout=PATIENCE)


def _about(stored: Stored) -> dict[str, Any]:
    """All but the body."""
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in stored.fields]
    numbers = {name: getattr(stored, name) for name in ("status", "at", "initial", "lifetime")}
    return {"fields": fields, "varied": stored.varied, **numbers}


def _stored(about: dict[str, Any], body: bytes) -> Stored:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in about["fields"]]
    return Stored(
        int(about["status"]), fields, body, dict(about["varied"]),
        float(about["at"]), float(about["initial"]), float(about["lifetime"]),
    )  # fmt: skip

"""SQLite as vidops keeps it: one connection, any thread, a version, and a corrupt file out of the way.

WAL with busy timeout (https://www.sqlite.org/wal.html). What a caller calls durable is on disk when the
transaction ends (`synchronous=FULL`); the rest may lose its last moments in a power cut, never its form.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence

from vidops.errors import PermanentError, TemporaryError

BUSY_TIMEOUT = 10.0
_PARTS = ("", "-wal", "-shm")


class Database:
    """A database file, made and migrated when opened.

    migrations: SQL scripts; the n-th brings a file from version n to n + 1 (`PRAGMA user_version`).
    `moved_aside`: where a corrupt predecessor went, empty where there was none.

    Raises `PermanentError` where the file cannot be used at all: no permission, or made by a newer vidops.
    """

    def __init__(self, path: str, migrations: Sequence[str]) -> None:
        self.path = path
        self.moved_aside = ""
        self._migrations = migrations
        self._lock = threading.RLock()
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            try:
                self._connection = self._open()
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                self.moved_aside = _move_aside(path)
                self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise PermanentError(f"cannot use {path}: {error}", reason="BadState") from None
        self._inode = os.stat(path).st_ino

    def _open(self) -> sqlite3.Connection:
        # Made here and not by SQLite, which would let others read it.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA foreign_keys=ON")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(self._migrations):
                raise PermanentError(
                    f"{self.path} was written by a newer vidops (version {version}; this one knows "
                    f"{len(self._migrations)}): install that one, or move the file away",
                    reason="WrongVersion",
                )
            for script in self._migrations[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(self._migrations)}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, alone in this process; all of it or nothing.

        Raises `TemporaryError`, with reason `DiskFull`, `Corrupt` or `StateError`, for what SQLite refuses.
        """
        with self._lock:
            connection = self._connection
            try:
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise TemporaryError(f"{self.path}: {error}", reason=_reason(error)) from error

    def read(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """All rows of a query. Raises as `transaction`."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise TemporaryError(f"{self.path}: {error}", reason=_reason(error)) from error

    @property
    def lost(self) -> bool:
        """Whether the file was removed or replaced under the open connection: what is written goes nowhere."""
        try:
            return os.stat(self.path).st_ino != self._inode
        except FileNotFoundError:
            return True

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def is_corrupt(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) if _has_code(error) else True


def _has_code(error: sqlite3.Error) -> bool:
    # Errors that SQLite itself raises carry a code; ours (a failed quick_check) does not.
    return getattr(error, "sqlite_errorcode", None) is not None


def _reason(error: sqlite3.Error) -> str:
    if _has_code(error):
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return "DiskFull"
        if is_corrupt(error):
            return "Corrupt"
    return "StateError"


def _move_aside(path: str) -> str:
    target = f"{path}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"
    for part in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(path + part, target + part)
    return target

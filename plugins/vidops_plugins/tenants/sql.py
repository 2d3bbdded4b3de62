"""`type: sqlite`: tenants in a SQLite database that something else writes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field, field_validator

from vidops.api import (
    PositiveDuration,
    TemporaryError,
    Tenant,
    TenantContext,
    TenantDirectory,
    TenantDirectoryOptions,
    User,
)

MAX_GLOBS = 1000
CONCURRENT = 4
_STEPS = 1000
"""Virtual machine instructions between two looks at the clock."""

Query = Annotated[str, Field(min_length=1, max_length=10_000)]


class SqliteTenants(TenantDirectoryOptions):
    """Tenants in a SQLite database, which is only read."""

    type: Literal["sqlite"]
    path: Annotated[str, Field(min_length=1, max_length=1000)]
    """The database's file. Relative to the stack file."""
    tenant: Query = "SELECT device FROM tenant_devices WHERE tenant = :tenant"
    """Gives a row for each glob of the tenant's cameras (its first column); NULL for none. No row: no such tenant."""
    member: Query = "SELECT 1 FROM tenant_members WHERE tenant = :tenant AND member = :user"
    """Gives a row where the user is a member."""
    tenant_of_user: Query | None = None
    """Gives the tenants of a user (`:user`), for `from: [{directory: true}]`: with one row, that is the tenant."""
    timeout: PositiveDuration = "2s"  # type: ignore[assignment]
    """How long a query may take."""

    @field_validator("tenant", "member", "tenant_of_user")
    @classmethod
    def _reads(cls, value: str | None) -> str | None:
        if value is not None and value.split(None, 1)[:1] not in (["SELECT"], ["select"], ["WITH"], ["with"]):
            raise ValueError("a query that begins with SELECT or WITH")
        return value


class SqliteDirectory(TenantDirectory):
    """A connection for each query, in a thread: a database that is replaced, locked or gone is none of the next's."""

    def __init__(self, options: SqliteTenants, path: str, log: Callable[[Mapping[str, Any]], None]) -> None:
        self._log = log
        self._options = options
        self._path = path
        self._slots = asyncio.Semaphore(CONCURRENT)

    async def lookup(self, name: str) -> Tenant | None:
        rows = await self._ask(self._options.tenant, {"tenant": name}, MAX_GLOBS)
        return Tenant(name, tuple(row for row in rows if isinstance(row, str))) if rows else None

    async def is_member(self, tenant: Tenant, user: User) -> bool:
        return bool(await self._ask(self._options.member, {"tenant": tenant.name, "user": user.name}, 1))

    @property
    def resolves(self) -> bool:
        return self._options.tenant_of_user is not None

    async def resolve(self, user: User, request: Any) -> str | None:
        if self._options.tenant_of_user is None:
            return None
        rows = await self._ask(self._options.tenant_of_user, {"user": user.name}, 2)
        return rows[0] if len(rows) == 1 and isinstance(rows[0], str) else None

    async def _ask(self, query: str, values: dict[str, str], limit: int) -> list[Any]:
        try:
            async with asyncio.timeout(self._options.timeout), self._slots:
                return await asyncio.to_thread(self._read, query, values, limit)
        except TimeoutError:
            raise _no("does not answer in time") from None
        except (sqlite3.Error, UnicodeEncodeError) as error:
            # What is wrong, and where, is not for clients.
            self._log({"level": "warning", "event": "tenants_failed", "path": self._path, "error": str(error)})
            raise _no("cannot be read") from None

    def _read(self, query: str, values: dict[str, str], limit: int) -> list[Any]:
        loop_end = _deadline(self._options.timeout)
        uri = f"file:{quote(self._path)}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=self._options.timeout, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = 1")
            connection.set_progress_handler(loop_end, _STEPS)
            return [row[0] for row in connection.execute(query, values).fetchmany(limit)]
        finally:
            connection.close()


def _deadline(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _no(what: str) -> TemporaryError:
    return TemporaryError(f"the directory of tenants: {what}", reason="DirectoryUnavailable")


def build(options: SqliteTenants, context: TenantContext) -> SqliteDirectory:
    return SqliteDirectory(options, os.path.join(context.base_dir, options.path), context.log)

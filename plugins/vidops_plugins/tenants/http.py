"""`type: http`: tenants that a web service knows, with a cache that is bounded and outlasts the service for a while.

`GET <url>/<tenant>` answers 200 with `{"devices": ["door*"], "members": ["ann"]}`, or 404. Without `members`,
`GET <url>/<tenant>/members/<user>` answers 200, 204 or 404. Which of the two ways it has is what it had the last time:
tenants that there are not are then asked after in the same way.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from vidops.api import (
    Duration,
    PositiveDuration,
    SecretRef,
    TemporaryError,
    Tenant,
    TenantContext,
    TenantDirectory,
    TenantDirectoryOptions,
    Url,
    User,
    fetch,
)
from vidops_plugins.authorities import authorities

MAX_BYTES = 256 * 1024
MAX_GLOBS = 1000
MAX_MEMBERS = 10_000
CONCURRENT = 8
RETRY = 1.0
"""Seconds after a failure in which the service is not asked again for the same."""


class HttpTenants(TenantDirectoryOptions):
    """Tenants that a web service knows."""

    type: Literal["http"]
    url: Url
    """Where tenants are: the name is added as a segment."""
    authorization: SecretRef | None = None
    """The whole value of the Authorization header."""
    ttl: PositiveDuration = "1m"  # type: ignore[assignment]
    """How long an answer is taken without asking again."""
    negative_ttl: PositiveDuration = "10s"  # type: ignore[assignment]
    """The same of "there is none"."""
    stale: Duration = "10m"  # type: ignore[assignment]
    """How long after that an answer still counts while the service does not answer."""
    max_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Answers that are remembered; those used least go first."""
    timeout: PositiveDuration = "3s"  # type: ignore[assignment]
    """How long the service may take."""
    cafile: str = ""
    """PEM file of the authorities that its certificate may be by, in place of the system's. Relative to the stack
    file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the service said (None: 404), and when."""

    document: Any
    at: float


class HttpDirectory(TenantDirectory):
    def __init__(
        self,
        options: HttpTenants,
        authorization: str,
        log: Callable[[Mapping[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._options = options
        self._headers = {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})
        self._clock = clock
        self._known: OrderedDict[str, Entry] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Entry]] = {}
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._lists_members = True

    async def lookup(self, name: str) -> Tenant | None:
        document = await self._get(_segment(name))
        return None if document is None else Tenant(name, _texts(document, "devices", MAX_GLOBS))

    async def is_member(self, tenant: Tenant, user: User) -> bool:
        path = _segment(tenant.name)
        document = await self._get(path)
        if document is not None:
            self._lists_members = "members" in document
        if self._lists_members:
            return document is not None and user.name in _texts(document, "members", MAX_MEMBERS)
        # Asked of a tenant that there is not, too: a question less would tell so.
        answer = await self._get(f"{path}/members/{_segment(user.name)}")
        return document is not None and answer is not None

    async def close(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()

    async def _get(self, path: str) -> Any:
        """What is at the path; None where there is nothing. Raises `TemporaryError`."""
        known, now = self._known.get(path), self._clock()
        if known is not None:
            self._known.move_to_end(path)
            if now - known.at < self._ttl(known):
                return known.document
        try:
            return (await self._asked(path, now)).document
        except TemporaryError:
            if known is not None and now - known.at < self._ttl(known) + self._options.stale:
                return known.document
            raise _away() from None

    def _ttl(self, entry: Entry) -> float:
        return self._options.negative_ttl if entry.document is None else self._options.ttl

    async def _asked(self, path: str, now: float) -> Entry:
        """The same question is asked once at a time, and not again right after a failure."""
        failed = self._failed.get(path, -RETRY)
        if now - failed < RETRY:
            raise _away()
        task = self._asking.get(path)
        if task is None:
            task = self._asking[path] = asyncio.get_running_loop().create_task(self._ask(path), name=f"tenants {path}")
            task.add_done_callback(lambda done: self._done(path, done))
        # Whoever gives up waiting leaves the question to the others.
        return await asyncio.shield(task)

    def _done(self, path: str, task: asyncio.Task[Entry]) -> None:
        del self._asking[path]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            _keep(self._known, path, task.result(), self._options.max_entries)
            self._failed.pop(path, None)
        else:
            # What is wrong, and where, is not for clients.
            record = {"level": "warning", "event": "tenants_failed", "path": path, "error": str(error)}
            self._log(record)
            _keep(self._failed, path, self._clock(), self._options.max_entries)

    async def _ask(self, path: str) -> Entry:
        options = self._options
        try:
            async with asyncio.timeout(options.timeout), self._slots:
                answer = await fetch(
                    f"{options.url.rstrip('/')}/{path}", headers=self._headers, timeout=options.timeout,
                    max_bytes=MAX_BYTES, cafile=options.cafile,
                )  # fmt: skip
        except TimeoutError:
            raise _no("too many questions at once") from None
        if answer.status == 404:
            return Entry(None, self._clock())
        if answer.status == 204:
            return Entry({}, self._clock())
        if answer.status != 200:
            raise _no(f"HTTP {answer.status}")
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise _no("no JSON") from None
        if not isinstance(document, dict):
            raise _no("no JSON object")
        return Entry(document, self._clock())


def _keep(table: OrderedDict[str, Any], path: str, value: Any, most: int) -> None:
    table[path] = value
    table.move_to_end(path)
    if len(table) > most:
        table.popitem(last=False)


def _segment(name: str) -> str:
    """A name as one segment of a path: dots alone would be steps."""
    text = quote(name, safe="", errors="replace")
    return text.replace(".", "%2E") if not text.strip(".") else text


def _texts(document: dict[str, Any], key: str, most: int) -> tuple[str, ...]:
    value = document.get(key, [])
    if not isinstance(value, list) or len(value) > most or not all(isinstance(one, str) for one in value):
        raise _no(f"`{key}` is no list of at most {most} texts")
    return tuple(value)


def _no(what: str) -> TemporaryError:
    return TemporaryError(f"the directory of tenants: {what}", reason="DirectoryUnavailable")


def _away() -> TemporaryError:
    return _no("does not answer")


def build(options: HttpTenants, context: TenantContext) -> HttpDirectory:
    cafile = authorities(options.cafile, context.base_dir, f"tenants {context.directory}")
    options = options.model_copy(update={"cafile": cafile})
    return HttpDirectory(options, context.secret(options.authorization) if options.authorization else "", context.log)

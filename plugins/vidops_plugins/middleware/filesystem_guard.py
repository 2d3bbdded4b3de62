"""`filesystem_guard`: requests that would write are refused while the file system has no room, or takes nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from vidops.api import ASGIApp, GatewayContext, Options, PositiveDuration, Receive, Scope, Send, Size, respond_problem

LOOK_EVERY = 1.0
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class FilesystemGuard(Options):
    """Refuses what would write (507) while there is too little room, or the file system is read-only or away."""

    path: str
    """A directory on the file system. Relative to the stack file."""
    min_free: Size = "64MiB"  # type: ignore[assignment]
    """Room that unprivileged users must have left."""
    methods: list[Method] = Field(default=["POST", "PUT", "PATCH"])
    """What is refused. DELETE is not: it makes room."""
    retry_after: PositiveDuration = "30s"  # type: ignore[assignment]
    """When clients shall ask again."""


class Room:
    """Looks at most once a second, in a thread: a file system that is away can hang."""

    def __init__(self, path: str, min_free: int) -> None:
        self._path = path
        self._min_free = min_free
        self._until = 0.0
        self._why = ""
        self._looking: asyncio.Task[str] | None = None

    async def why_not(self) -> str:
        """Why nothing can be written now; empty where it can."""
        if time.monotonic() >= self._until:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(asyncio.to_thread(self._look))
            done, _ = await asyncio.wait({self._looking}, timeout=LOOK_EVERY)
            self._why = self._looking.result() if done else "it does not answer"
            self._until = time.monotonic() + LOOK_EVERY
        return self._why

    def _look(self) -> str:
        try:
            status = os.statvfs(self._path)
        except OSError as error:
            return str(error.strerror or error)
        if status.f_flag & os.ST_RDONLY:
            return "it is read-only"
        free = status.f_bavail * status.f_frsize
        return "" if free >= self._min_free else f"it has {free} bytes left"


def build(options: FilesystemGuard, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    room = Room(os.path.join(context.base_dir, options.path), options.min_free)
    headers = [(b"retry-after", b"%d" % max(1, round(options.retry_after)))]

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            why = await room.why_not() if scope.get("method", "GET") in options.methods else ""
            if why:
                detail = f"nothing can be stored now: {why}"
                await respond_problem(scope, send, 507, detail, reason="NoRoom", headers=headers)
                return
            await app(scope, receive, send)

        return guarded

    return wrap

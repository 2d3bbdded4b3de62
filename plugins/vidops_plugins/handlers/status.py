"""`/v1/status`: what the control plane says of every resource; 503 while it does not run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    PositiveDuration,
    Receive,
    Scope,
    Send,
    TemporaryError,
    respond_json,
    respond_problem,
    restricted,
)
from vidops_plugins.handlers.lookup import refused_as_write
from vidops_plugins.handlers.openapi import answer, operation


class Status(Options):
    """The control plane's view of the stack, as JSON."""

    max_age: PositiveDuration = "500ms"  # type: ignore[assignment]
    """How old an answer may be: however many pages look, the control plane is asked no more often."""


def describe(options: Status) -> Mapping[str, Mapping[str, Any]]:
    report = answer({"type": "object", "required": ["stack", "sync", "health", "resources"]})
    refused = {403: "For who may see all of this host."}
    return {"": {"get": operation("Every resource: in sync? healthy?", report, refused=refused)}}


def build(options: Status, context: GatewayContext) -> ASGIApp:
    cached = _Cached(options.max_age, context)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await refused_as_write(scope, send):
            return
        if restricted(scope):
            # It names every camera of the host.
            await respond_problem(scope, send, 403, "for those alone who may see all of this host", reason="NotAllowed")
            return
        try:
            await respond_json(scope, send, await cached.get())
        except TemporaryError as error:
            retry = [(b"retry-after", b"2")]
            await respond_problem(scope, send, 503, str(error), reason=error.reason, headers=retry)

    return app


class _Cached:
    """The last answer, good or bad, for as long as it is fresh; one question at a time."""

    def __init__(self, max_age: float, context: GatewayContext) -> None:
        self._max_age = max_age
        self._context = context
        self._lock = asyncio.Lock()
        self._answer: Mapping[str, object] = {}
        self._error: TemporaryError | None = None
        self._until = 0.0

    async def get(self) -> Mapping[str, object]:
        clock = asyncio.get_running_loop().time
        async with self._lock:
            if clock() >= self._until:
                try:
                    self._answer, self._error = await self._context.control.status(), None
                except TemporaryError as error:
                    self._error = error
                self._until = clock() + self._max_age
        if self._error is not None:
            raise self._error
        return self._answer

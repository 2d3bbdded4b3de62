"""A route in service: its application, who uses it right now, and how it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidops.errors import TemporaryError
from vidops.gateway.routing import Pattern
from vidops.resources.catalogue import ASGIApp, GatewayContext

CALLBACK_TIMEOUT = 10.0
"""Seconds that one `started` or `stopped` callback may take."""
_CUT_TIMEOUT = 2.0


@dataclass(eq=False)
class Route:
    """`key` is what it was built from: a route whose key stays the same is never rebuilt.

    `active`: the tasks of its requests. `cut`: they are being cancelled, since the route's time is up.
    """

    key: str
    pattern: Pattern
    methods: Sequence[str]
    app: ASGIApp
    context: GatewayContext
    closing: asyncio.Event
    active: set[asyncio.Task[Any]] = field(default_factory=set)
    cut: bool = False

    async def start(self) -> None:
        """Run the `started` callbacks; raises what the first failing one raises."""
        for callback in self.context.started:
            try:
                async with asyncio.timeout(CALLBACK_TIMEOUT) as limit:
                    await callback()
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise TemporaryError(f"it is not ready after {CALLBACK_TIMEOUT:g}s") from error

    async def retire(self, drain: float, log: Callable[[Mapping[str, Any]], None]) -> None:
        """Streams end at once, other requests within `drain` seconds, what is left is cancelled. Never raises."""
        self.closing.set()
        if self.active:
            await asyncio.wait(self.active, timeout=drain)
        self.cut = True
        for task in self.active:
            task.cancel()
        if self.active:
            await asyncio.wait(self.active, timeout=_CUT_TIMEOUT)
        for callback in reversed(self.context.stopped):
            try:
                async with asyncio.timeout(CALLBACK_TIMEOUT):
                    await callback()
            except Exception as error:  # noqa: BLE001 - a plugin's code; the others still have to be called
                log({"level": "error", "event": "stop_failed", "route": self.pattern.text, "error": repr(error)})

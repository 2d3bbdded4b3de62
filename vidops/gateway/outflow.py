"""An answer on its way out, watched as a body is on its way in: who reads it too slowly is let go.

Streams that last are not watched here: their viewers skip what they are too slow for, and have a limit of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from vidops.gateway.guard import Refused
from vidops.resources.catalogue import Message, Scope, Send

ABORT = "vidops.abort"
"""Key of the scope under which a function drops the request's connection."""
GRACE = 60.0
"""Seconds that a part of an answer may wait for its reader, on top of what its size is worth."""
RATE = 1000.0
"""Bytes a second that an answer has to be read with."""


class Outflow:
    """Wraps `send` of one HTTP request. Raises `Refused` where its reader is let go; nothing can be sent then.

    A `send` may have a `write(message)` that returns what is to be waited for, if anything: most messages wait for
    nothing, and a timer for each would cost more than they do.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._abort: Callable[[], None] | None = scope.get(ABORT)
        self._send = send
        self._write: Callable[[Message], Awaitable[None] | None] | None = getattr(send, "write", None)

    def write(self, message: Message) -> Awaitable[None] | None:
        """Send; returns what is to be awaited, if anything. What is given out is taken when about as much that went
        before is read."""
        waiting = self._send(message) if self._write is None else self._write(message)
        if waiting is None or self._abort is None:
            return waiting
        return self._in_time(waiting, GRACE + len(message.get("body", b"")) / RATE, self._abort)

    async def _in_time(self, waiting: Awaitable[None], seconds: float, abort: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(seconds):
                await waiting
        except TimeoutError:
            abort()
            raise Refused(408, "the answer was read too slowly") from None

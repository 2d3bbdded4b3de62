"""A request's body, watched: how much, how slowly, and what is left of it when the answer is already there.

The time that counts is the time spent waiting for the client, so an application that reads slowly is not the client's
fault; and a limit is looked at on the first read, so that middleware can set another one before.
"""

from __future__ import annotations

import asyncio
from typing import Any

from vidops.gateway.guard import Refused
from vidops.resources.catalogue import Message, Receive, Scope

BODY = "vidops.body"
"""Key of the scope under which the `Body` is found; `narrow` may be called before the first read."""

DEFAULT_LIMIT = 16 * 1024 * 1024
GRACE = 20.0
"""Seconds that waiting for a body may take in all, on top of what its size is worth."""
RATE = 500.0
"""Bytes a second that a body has to come with once the grace is used up."""
DRAIN_BYTES = 256 * 1024
DRAIN_TIME = 2.0


class Body:
    """Wraps `receive` of one HTTP request. Reading raises `Refused` (413, 408)."""

    def __init__(self, scope: Scope, receive: Receive, *, limit: int = DEFAULT_LIMIT, grace: float = GRACE) -> None:
        self.limit = limit
        self.grace = grace
        self.complete = _none(scope)
        self.gone = False
        self.received = 0
        self._receive = receive
        self._waited = 0.0
        self._length = None if self.complete else _content_length(scope)
        self._told = False

    def narrow(self, limit: int) -> None:
        """Have a limit in the place of the gateway's own; of several, the smallest counts."""
        self.limit = min(self.limit, limit) if self._told else limit
        self._told = True

    async def __call__(self) -> Message:
        """ASGI's `receive`."""
        if self.complete or self.gone:
            # Nothing but the client's leaving can come now, and that may take as long as it likes.
            message = await self._receive()
        else:
            if self._length is not None and self._length > self.limit:
                raise Refused(413, f"the body is larger than {self.limit} bytes")
            message = await self._timed()
        self._note(message)
        if self.received > self.limit:
            raise Refused(413, f"the body is larger than {self.limit} bytes")
        return message

    async def drain(self) -> None:
        """Read on for a short while after an early answer, such that the client can finish and read it."""
        budget = self.received + DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_TIME):
                while not self.complete and not self.gone and self.received < budget:
                    self._note(await self._receive())
        except TimeoutError:
            return

    async def _timed(self) -> Message:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(max(0.0, self.grace + self.received / RATE - self._waited)):
                return await self._receive()
        except TimeoutError:
            raise Refused(408, "the body came too slowly") from None
        finally:
            self._waited += clock() - started

    def _note(self, message: Message) -> None:
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif message["type"] == "http.disconnect":
            self.gone = True


def _none(scope: Scope) -> bool:
    """Whether the head has said that there is none; HTTP/2's heads do not."""
    if scope.get("http_version") not in ("1.0", "1.1"):
        return False
    told = [value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")]
    return not told or told == [b"0"]


def _content_length(scope: Scope) -> int | None:
    """The announced size; None where there is none to read (HTTP parsers refuse a bad one before)."""
    value: Any = next((v for n, v in scope["headers"] if n == b"content-length"), None)
    return int(value[:20]) if value is not None and value.isdigit() else None

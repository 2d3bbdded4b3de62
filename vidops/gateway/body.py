"""A request's body, watched: how much, how slowly, and what is left of it when the answer is already there.

The time that counts is the time spent waiting for the client, so an application that reads slowly is not the client's
fault; and a limit is looked at on the first read, so that middleware can set another one before. A client that asks
whether to send it (`Expect: 100-continue`) is told to by the first read, too.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from vidops.gateway.guard import Refused
from vidops.resources.catalogue import Message, Receive, Scope

BODY = "vidops.body"
"""Key of the scope under which the `Body` is found; `narrow` may be called before the first read."""

INCOMING = "vidops.incoming"
"""Key of the scope: the `Incoming` of a request over HTTP/1."""

DEFAULT_LIMIT = 16 * 1024 * 1024
GRACE = 20.0
"""Seconds that waiting for a body may take in all, on top of what its size is worth."""
RATE = 500.0
"""Bytes a second that a body has to come with once the grace is used up."""
DRAIN_BYTES = 256 * 1024
DRAIN_TIME = 2.0


class Incoming(Protocol):
    """A body as its server sees it."""

    @property
    def complete(self) -> bool:
        """All of it has come, whether it was read or not."""

    @property
    def waits(self) -> bool:
        """The client sends none of it before it is told to (RFC 9110, 10.1.1)."""

    async def go_on(self) -> None:
        """Tell it: 100."""


class Body:
    """Wraps `receive` of one HTTP request. Reading raises `Refused` (413, 408)."""

    def __init__(self, scope: Scope, receive: Receive, *, limit: int = DEFAULT_LIMIT, grace: float = GRACE) -> None:
        self.limit = limit
        self.grace = grace
        self.complete = _none(scope)
        self.gone = False
        self.received = 0
        self.answered = False
        """An answer has begun: it is too late to ask for the body."""
        self._receive = receive
        self._incoming: Incoming | None = scope.get(INCOMING)
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
            if self._incoming is not None and self._incoming.waits and not self.answered:
                await self._incoming.go_on()
            message = await self._timed()
        self._note(message)
        if self.received > self.limit:
            raise Refused(413, f"the body is larger than {self.limit} bytes")
        return message

    @property
    def under_way(self) -> bool:
        """Whether some of it has not come: an answer now is the connection's last, unless the rest comes soon."""
        return not self.complete and not self.gone and self._incoming is not None and not self._incoming.complete

    async def drain(self) -> None:
        """Read on for a short while after an early answer, such that the client can finish and read it."""
        if self._incoming is not None and self._incoming.waits:
            return  # nothing is on its way
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

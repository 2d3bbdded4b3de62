"""One request on its way through: the upstream's request is written while its response is read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vidops.api import INTERIM, Message, Receive, Scope, Send, header
from vidops_plugins.handlers.proxy import heads
from vidops_plugins.handlers.proxy.wire import Connection, Head, Interim

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")


class Slow(Exception):
    """The upstream took too long. The text is for the log."""


class ClientLeft(Exception):
    """There is nobody to answer any more."""


class WrongLength(Exception):
    """The client sends another number of bytes than it announced."""


@dataclass(slots=True)
class RequestBody:
    """A request's body, read on demand. `length`: announced bytes; None where it comes in chunks."""

    receive: Receive
    length: int | None

    @property
    def empty(self) -> bool:
        return self.length == 0

    @classmethod
    async def of(cls, scope: Scope, receive: Receive) -> RequestBody:
        """Return when the first bytes of it are there: who sends none needs no upstream. HTTP/1.1 says whether there
        is one; of HTTP/2, the first part tells."""
        announced = header(scope, b"content-length")
        length = None if announced is None else int(announced)
        framed = length is not None or header(scope, b"transfer-encoding") is not None
        if length == 0 or (not framed and scope["http_version"] in ("1.0", "1.1")):
            return cls(receive, 0)
        while True:
            first = await receive()
            if first["type"] == "http.disconnect":
                raise ClientLeft
            if first.get("body") or not first.get("more_body", False):
                break
        if not framed and not first.get("body"):
            return cls(receive, 0)
        parts = [first]

        async def again() -> Message:
            return parts.pop() if parts else await receive()

        return cls(again, length)

    @property
    def framing(self) -> heads.Fields:
        if self.length is None:
            return [(b"transfer-encoding", b"chunked")]
        return [(b"content-length", b"%d" % self.length)] if self.length else []

    async def send(self, connection: Connection, idle: float) -> None:
        """Write it all. Raises what `receive` raises, `ClientLeft`, `Slow`, `WrongLength`."""
        left = self.length
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            data: bytes = message.get("body", b"")
            if left is not None:
                # Whatever is beyond would be the upstream's next request, which no chain has seen.
                left -= len(data)
                if left < 0:
                    raise WrongLength("the body is longer than announced")
            if data:
                connection.write(data if self.length is not None else b"%x\r\n%b\r\n" % (len(data), data))
                try:
                    async with asyncio.timeout(idle):
                        await connection.drained()
                except TimeoutError:
                    raise Slow(f"it took nothing of a body for {idle:g}s") from None
            if not message.get("more_body", False):
                break
        if left:
            raise WrongLength("the body is shorter than announced")
        if left is None:
            connection.write(b"0\r\n\r\n")


def interim_of(scope: Scope, send: Send) -> Interim | None:
    """What passes interim responses on (RFC 9110, 15.2: a proxy must); None to a client of HTTP/1.0."""
    if INTERIM not in (scope.get("extensions") or {}):
        return None

    async def tell(head: Head) -> None:
        await send({"type": INTERIM, "status": head.status, "headers": head.headers})

    return tell


def takes_trailers(scope: Scope) -> bool:
    """Whether the client said that it reads them, and there is a way."""
    if "http.response.trailers" not in (scope.get("extensions") or {}):
        return False
    return b"trailers" in [token.strip() for token in (header(scope, b"te") or b"").lower().split(b",")]


class Exchange:
    """One try: the request on one connection, and its response. `close` it, whatever happens."""

    def __init__(self, connection: Connection, body: RequestBody, *, first_byte: float, idle: float) -> None:
        self._connection = connection
        self._body = body
        self._first_byte = first_byte
        self._idle = idle
        self._sending: asyncio.Task[None] | None = None
        """Of the request's body, where there is one."""

    async def head(self, interim: Interim | None = None) -> Head:
        """The response's head; `interim` hears of those before it. Raises `Broken`, `Stale`, `Slow` and what
        sending does."""
        if self._body.empty:
            try:
                return await self._connection.response(interim, within=self._first_byte)
            except TimeoutError:
                raise self._no_answer() from None
        self._connection.unasked = True
        self._sending = asyncio.create_task(self._send())
        answered = asyncio.ensure_future(self._connection.response(interim))
        try:
            # A service may answer before it has read everything; the rest goes on beside its answer.
            await asyncio.wait((answered, self._sending), return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                self._sending.result()
            try:
                async with asyncio.timeout(self._first_byte):
                    return await answered
            except TimeoutError:
                raise self._no_answer() from None
        finally:
            if not answered.done():
                answered.cancel()
            await asyncio.gather(answered, return_exceptions=True)

    async def _send(self) -> None:
        try:
            await self._body.send(self._connection, self._idle)
        except Slow:
            # It was asked enough, and did not take that.
            self._connection.unasked = False
            raise
        self._connection.unasked = False

    async def answer(self, head: Head, send: Send, *, bodiless: bool, trailers: bool = False) -> None:
        """Hand the response on, with the trailers that it announces where they are wanted. Raises `Broken` or `Slow`
        where it is cut off: the client's must be, too."""
        fields = heads.end_to_end(head.headers)
        names = heads.announced(head.headers) if trailers and not bodiless else frozenset()
        start: Message = {"type": "http.response.start", "status": head.status, "headers": fields}
        if names:
            start["headers"] = [*fields, (b"trailer", b", ".join(sorted(names)))]
            start["trailers"] = True
        await send(start)
        done = bodiless
        chunk = b""
        while not done:
            try:
                chunk = await self._connection.read(within=self._idle)
            except TimeoutError:
                raise Slow(f"its answer paused for more than {self._idle:g}s") from None
            done = self._connection.finished
            if not done:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if self._sending is not None:
            # Whatever of the request is still to come is the gateway's to deal with.
            await self.close()
        await send({"type": "http.response.body", "body": chunk})
        if names:
            await send({"type": "http.response.trailers", "headers": self._connection.trailers})

    async def close(self) -> None:
        """Stop sending. A connection whose request is not whole is not used again."""
        task, self._sending = self._sending, None
        if task is None:
            return
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        if result is not None:
            # What the upstream waits for is the rest of this request: whatever came next would be taken for that.
            self._connection.close()

    def _no_answer(self) -> Slow:
        return Slow(f"no answer within {self._first_byte:g}s")

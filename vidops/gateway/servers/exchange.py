"""One request and its answer over HTTP/1.1, between a connection and an ASGI application."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable
from typing import Any, Protocol

from vidops.asgi import INTERIM, json_bytes, problem
from vidops.gateway.dates import http_date
from vidops.gateway.direct import TransportStream
from vidops.gateway.exchange import LEAVING_GRACE
from vidops.gateway.guard import Refused
from vidops.gateway.servers.chunks import Chunks
from vidops.gateway.servers.heads import Head
from vidops.resources.catalogue import Message

OVERHEAD = 64
"""Bytes that a piece of a body takes beside its own: a body may come in pieces of one."""
_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\0]*\r\n)*")


class Carrier(Protocol):
    """What an exchange asks of its connection."""

    ending: bool
    """No other request is taken."""

    def put(self, data: bytes, *, cork: bool = False) -> None:
        """Write; what comes after the connection's end is dropped. `cork`: together with what is put next, where that
        comes in the same turn of the loop: a head and a body cost one call of the kernel then."""

    def room(self) -> Awaitable[None] | None:
        """What to wait for before more is written, if anything."""

    def taken(self) -> None:
        """Something of the body was read: there is room for more."""

    def answered(self, exchange: Exchange, *, keep: bool) -> None:
        """The answer is out; `keep`: its end can be told from the connection's."""


class Exchange:
    """`receive`, and itself as `send`. `size`: bytes of the body that wait for the application."""

    __slots__ = (
        "_bodiless", "_carrier", "_chunked", "_chunks", "_ended", "_keep", "_leaving", "_left", "_news", "_told",
        "_trailing", "complete", "direct", "done", "gone", "head", "remaining", "size", "started", "task", "unchunk",
        "waits",
    )  # fmt: skip

    def __init__(self, carrier: Carrier, head: Head) -> None:
        self.head = head
        self.task: asyncio.Task[Any] | None = None
        self.direct: TransportStream | None = None
        self.size = 0
        self.complete = head.length == 0
        self.gone = False
        self.started = False
        self.done = False
        self.remaining = head.length or 0
        self.unchunk = Chunks() if head.length is None else None
        self.waits = head.expects and not self.complete
        """The client sends no body before it is told to."""
        self._carrier = carrier
        self._chunks: deque[bytes] = deque()
        self._told = False
        self._news: asyncio.Event | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._keep = head.keep_alive
        self._bodiless = False
        self._chunked = False
        self._left = -1
        self._trailing = False
        self._ended = False

    # -- the request -------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        """Take what belongs to the body; returns what does not. Raises `Refused`."""
        self.waits = False
        rest = b""
        if self.unchunk is not None:
            data = self.unchunk.feed(data)
            self.complete, rest = self.unchunk.done, self.unchunk.rest
        else:
            if len(data) > self.remaining:
                data, rest = data[: self.remaining], data[self.remaining :]
            self.remaining -= len(data)
            self.complete = self.remaining == 0
        if data:
            self._chunks.append(data)
            self.size += len(data) + OVERHEAD
        self._tell()
        return rest

    async def receive(self) -> Message:
        """ASGI's."""
        while True:
            if self._chunks:
                data = self._chunks.popleft()
                self.size -= len(data) + OVERHEAD
                self._told = self.complete and not self._chunks
                self._carrier.taken()
                return {"type": "http.request", "body": data, "more_body": not self._told}
            if self.complete and not self._told:
                self._told = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.gone:
                return {"type": "http.disconnect"}
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()

    async def go_on(self) -> None:
        """For `body.Incoming`, which this is."""
        self.waits = False
        if not self.started:
            self._carrier.put(b"HTTP/1.1 100 Continue\r\n\r\n")

    def end(self) -> None:
        """Nothing more comes: `receive` says so once it has given what is there."""
        self.gone = True
        self._tell()

    def client_left(self) -> None:
        """Have the application know, and cancel it if it is still there after the grace."""
        self.end()
        if self.task is not None and self._leaving is None and not self.task.done():
            self._leaving = self.task.get_loop().call_later(LEAVING_GRACE, self.task.cancel)

    def over(self) -> None:
        """The application has returned; nobody reads any more."""
        if self._leaving is not None:
            self._leaving.cancel()
        self._chunks.clear()
        self.size = 0

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    # -- the answer --------------------------------------------------------------------------------------------

    async def __call__(self, message: Message) -> None:
        """ASGI's `send`."""
        waiting = self.write(message)
        if waiting is not None:
            await waiting

    def write(self, message: Message) -> Awaitable[None] | None:
        """Take a message; returns what is to be waited for before the next one, if anything."""
        kind = message["type"]
        if kind == "http.response.body" and self.started and not self.done:
            self._body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.started:
            self._start(int(message["status"]), message.get("headers", ()))
            self._trailing = message.get("trailers", False) and self._chunked and not self._bodiless
        elif kind == "http.response.trailers" and self.started:
            self._trailers(message.get("headers", ()), more=message.get("more_trailers", False))
        elif kind == INTERIM and not self.started and self.head.version == "1.1":
            block = _block([b"%b: %b\r\n" % field for field in message["headers"]])
            self._carrier.put(b"HTTP/1.1 %d \r\n%b\r\n" % (message["status"], block))
        else:
            raise RuntimeError(f"{kind} cannot be sent now")
        return self._carrier.room()

    def _start(self, status: int, headers: Any) -> None:
        if status not in range(200, 1000):
            raise ValueError(f"{status} is not the status of an answer")
        length = -1
        keep = self._keep and not self._carrier.ending
        lines: list[bytes] = []
        for name, value in headers:
            name = name.lower()
            if name == b"content-length":
                if status == 204:
                    continue  # RFC 9110, 8.6
                if length >= 0 or not value.isdigit():
                    raise ValueError("the answer's Content-Length is none, or there are two")
                length = int(value)
            elif name == b"connection":
                keep = keep and b"close" not in value.lower()
                continue
            elif name == b"transfer-encoding":
                continue  # how it is sent is not the application's to say
            lines.append(b"%b: %b\r\n" % (name, value))
        none = status in (204, 304)
        if length < 0 and not none:
            if self.head.version == "1.1":
                lines.append(b"transfer-encoding: chunked\r\n")
                self._chunked = True
            else:
                keep = False
        if not keep:
            lines.append(b"connection: close\r\n")
        block = _block(lines)
        self._bodiless = none or self.head.method == "HEAD"
        self._left = length
        self._keep = keep
        self.started = True
        self._carrier.put(b"HTTP/1.1 %d \r\n%b\r\n" % (status, block), cork=True)

    def _body(self, data: Any, *, more: bool) -> None:
        if data and not self._bodiless:
            if type(data) is not bytes:
                data = bytes(data)
            if self._chunked:
                end = b"" if more else self._last_chunk
                data = b"%x\r\n%b\r\n%b" % (len(data), data, end)
            elif self._left >= 0:
                if len(data) > self._left:
                    raise RuntimeError("the body of the answer is longer than its Content-Length")
                self._left -= len(data)
            self._carrier.put(data)
        elif not more and self._chunked and not self._bodiless:
            self._carrier.put(self._last_chunk)
        if not more:
            self._ended = True
            if not self._trailing:
                self._finish()

    def _trailers(self, headers: Any, *, more: bool) -> None:
        """Those that have no last chunk to go behind are dropped."""
        if self._trailing and not self.done:
            if not self._ended:
                raise RuntimeError("trailers cannot be sent before the body's end")
            self._carrier.put(_block([b"%b: %b\r\n" % field for field in headers]) + (b"" if more else b"\r\n"))
            if not more:
                self._finish()

    @property
    def _last_chunk(self) -> bytes:
        return b"0\r\n" if self._trailing else b"0\r\n\r\n"

    def _finish(self) -> None:
        self.done = True
        whole = self._bodiless or self._left <= 0
        self._carrier.answered(self, keep=self._keep and whole)


def _block(lines: list[bytes]) -> bytes:
    """Of whole fields. Raises `ValueError` for one that would be two."""
    block = b"".join(lines)
    # One that holds a whole other field would look well.
    if block.count(b"\n") != len(lines) or not _FIELDS.fullmatch(block):
        raise ValueError("a header field of the answer holds what none may hold")
    return block


def refused(refusal: Refused) -> bytes:
    """The whole answer to what is no request, the last one of its connection."""
    body = json_bytes(problem(refusal.status, refusal.detail))
    head = (
        b"HTTP/1.1 %d \r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
        b"connection: close\r\ndate: %b\r\n\r\n"
    )
    return head % (refusal.status, len(body), http_date()) + body

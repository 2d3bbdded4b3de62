"""One connection to an upstream, close to the socket: HTTP/1.1 as llhttp reads it, strictly; back-pressure both ways.

A response that two parsers could read differently is `Broken`: a length beside chunks, two lengths, folded fields, bare
line feeds (llhttp refuses these), another coding than chunked, another version than 1.0 or 1.1. Of interim responses
(RFC 9110, 15.2) all are told but 100, which nobody here asks for, of trailers (6.5.1) those that were announced.
A body without length ends with its connection where that was ended, not reset, and over TLS by a close_notify.
Nothing is buffered beyond `HIGH` bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

import httptools

from vidops_plugins.handlers.portion import PROMPT, Portion
from vidops_plugins.handlers.proxy.heads import announced, interim_fields

HEAD_LIMIT = 64 * 1024
MOST_FIELDS = 200
MOST_INTERIM = 10
NEVER = float("inf")
HIGH, LOW = 64 * 1024, 16 * 1024
"""Bytes of a body that wait for the client: above the first nothing more is read, below the second it goes on."""
_BUFFER = memoryview(bytearray(256 * 1024))
"""What any of the connections reads into: what a read brings is dealt with before the next one."""


class Broken(Exception):
    """What came is no response, or no whole one. The text is for the log."""


class Stale(Exception):
    """The connection ended before a byte of the response came."""


class Head(NamedTuple):
    """Names in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]


Interim = Callable[[Head], Awaitable[None]]
"""Takes what comes before the answer: 103 with its links (RFC 8297), for instance."""


class Connection(asyncio.BufferedProtocol):
    """`begin` an exchange, `write` the request, await `response()`, `read()` until it returns nothing.

    `trailers`: those that were announced, once the body is read. `reusable`: the exchange is over and another one may
    begin. `idle_since` and `client` are the pool's. `unasked`: the client has not sent all of the request, so how the
    exchange ends says nothing of the upstream.
    """

    def __init__(self) -> None:
        self.used = 0
        self.idle_since = 0.0
        self.client = ""
        self.unasked = False
        self.ended = False
        self._ended_well = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = NEVER
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused_reading = False
        self._busy = False
        self._raw = False
        self._at_end = False
        self._reset(bodiless=False)

    def _reset(self, *, bodiless: bool) -> None:
        if not self._at_end:
            # What it has not read to its end, it would go on with.
            self._parser = httptools.HttpResponseParser(self)
        self._at_end = False
        self._bodiless = bodiless
        self._head: Head | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self._announced: frozenset[bytes] = frozenset()
        self._interim: deque[Head] = deque()
        self._interim_count = 0
        self._head_bytes = 0
        self._heard = False
        self._keep = False
        self._complete = False
        self._surplus = False
        self._error: Exception | None = None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._portion = Portion()
        self._first_since = 0.0
        self._waiter: asyncio.Future[None] | None = None

    # -- for whoever proxies -----------------------------------------------------------------------------------

    def begin(self, *, bodiless: bool) -> None:
        """Another request follows. `bodiless`: its response has no body whatever its head says (HEAD)."""
        self.used += 1
        self.unasked = False
        self._busy = True
        self._reset(bodiless=bodiless)

    def write(self, data: bytes) -> None:
        """Never blocks; await `drained` where there may be much."""
        if self._transport is None or self._transport.is_closing():
            return  # `response` says why
        self._transport.write(data)

    async def drained(self) -> None:
        """Return when the upstream takes more, or is gone."""
        if self._writable is not None and not self.ended:
            await asyncio.shield(self._writable)

    async def response(self, interim: Interim | None = None, *, within: float = NEVER) -> Head:
        """The final head; `interim` hears of those before it. Raises `Broken`, `Stale`, or `TimeoutError` where it
        is not there `within` so many seconds."""
        due = self._loop.time() + within
        while True:
            while self._interim:
                early = self._interim.popleft()
                if interim is not None:
                    await interim(early)
            if self._head is not None:
                return self._head
            if self._error is not None:
                raise self._error
            await self._wait(due)

    async def read(self, *, within: float = NEVER) -> bytes:
        """The next part of the body; nothing at its end. Raises `Broken` where it is cut off, or `TimeoutError`."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._complete:
                return b""
            await self._wait(self._loop.time() + within)
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        now = time.monotonic()
        self._portion.passed(len(chunk), quickly=now - self._first_since < PROMPT)
        self._first_since = now
        if self._paused_reading and self._size < LOW and self._transport is not None:
            self._paused_reading = False
            self._transport.resume_reading()
        return chunk

    @property
    def finished(self) -> bool:
        """Whether the whole body has been read."""
        return self._complete and not self._chunks

    def over(self) -> None:
        """The exchange has ended, well or not."""
        self._busy = False

    @property
    def reusable(self) -> bool:
        return (
            not self._busy
            and self.finished
            and self._keep
            and not self._surplus
            and not self.ended
            and self._transport is not None
            and not self._transport.is_closing()
        )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER[: self._portion.size]

    def buffer_updated(self, nbytes: int) -> None:
        self._received(_BUFFER[:nbytes])

    def _received(self, data: memoryview) -> None:
        if not self._busy or self._surplus:
            # Nobody asked for this: what it answers is not known, so nothing may be asked here any more.
            self._surplus = True
            self.close()
            return
        if self._raw:
            self._add(bytes(data))
            self._wake()
            return
        self._heard = True
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
            if self._head_bytes > HEAD_LIMIT and not self._complete:
                raise Broken(f"the {'trailers' if self._head else 'head'} of its response are too large")
        except httptools.HttpParserUpgrade as switched:
            self._raw = True
            if rest := bytes(data[switched.args[0] :]):
                self._add(rest)
        except (httptools.HttpParserError, Broken) as error:
            self._failed(error)
        self._wake()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def eof_received(self) -> bool:
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        try:
            # Nothing left to read: the other end said so. asyncio, unlike uvloop, tells of an end without that, too.
            self._ended_well = tls is None or not tls.read(1)
        except ssl.SSLZeroReturnError:
            self._ended_well = True
        except ssl.SSLError:
            self._ended_well = False
        return False  # a half-closed upstream is of no use

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if exc is not None:
            self._read_rest()
        self.resume_writing()
        by_end = self._head is not None and not self._framed and exc is None and self._ended_well
        if self._raw or (by_end and not self._complete and self._error is None):
            self._complete = True
        elif self._busy and not self._complete and self._error is None:
            if self._heard:
                self._error = Broken("it closed the connection in the middle of its response")
            else:
                self._error = Stale("it closed the connection without a response")
        self._wake()

    def _read_rest(self) -> None:
        """A write that failed ends the transport, whatever had come before: "413" and "Connection: close" of a service
        that wants no more of a body, for instance. That is in the kernel still, and is read here, before the socket is
        closed. Not over TLS, where it is ciphertext that nobody can decrypt any more."""
        transport = self._transport
        if transport is None or not self._busy or self._raw or transport.get_extra_info("ssl_object") is not None:
            return
        descriptor = transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):  # at the end of what there is, or of the connection
            while not self._complete and self._error is None and (count := os.readv(descriptor, [_BUFFER])):
                self._received(_BUFFER[:count])

    # -- llhttp's side -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True
            raise Broken("more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self._head is not None:
            if name in self._announced and len(self.trailers) < MOST_FIELDS:
                self.trailers.append((name, value))
            return
        if len(self._fields) >= MOST_FIELDS:
            raise Broken(f"more than {MOST_FIELDS} header fields")
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        if version not in ("1.0", "1.1") or not 100 <= status <= 599:
            raise Broken(f"HTTP/{version} {status} is no response of HTTP/1")
        if status < 200 and status != 101:
            self._interim_count += 1
            if self._interim_count > MOST_INTERIM:
                raise Broken("interim responses without end")
            if status != 100:
                self._interim.append(Head(status, interim_fields(self._fields)))
            self._fields, self._head_bytes = [], 0
            return
        names = [name for name, _ in self._fields]
        codings: list[bytes] = []
        if b"transfer-encoding" in names:
            codings = [value.strip().lower() for name, value in self._fields if name == b"transfer-encoding"]
        if codings and codings != [b"chunked"]:
            raise Broken("a transfer coding other than chunked")
        self._framed = bool(codings) or b"content-length" in names
        self._keep = self._parser.should_keep_alive()
        self._announced = announced(self._fields) if codings else frozenset()
        self._head = Head(status, self._fields)
        if self._bodiless:
            self._complete = True

    def on_body(self, data: bytes) -> None:
        self._head_bytes = 0  # what comes without a body after it is trailers
        if self._bodiless:
            self._surplus = True
        elif self._head is not None:
            self._add(data)

    def on_message_complete(self) -> None:
        if self._head is not None:
            self._complete = self._at_end = self._head.status != 101

    # -- inside ------------------------------------------------------------------------------------------------

    _framed = False
    """Whether the body's end can be told from the connection's."""

    def _add(self, data: bytes) -> None:
        if not self._chunks:
            self._first_since = time.monotonic()
        self._chunks.append(data)
        self._size += len(data)
        if self._size > HIGH and not self._paused_reading and self._transport is not None:
            self._paused_reading = True
            self._transport.pause_reading()

    def _failed(self, error: Exception) -> None:
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
        if not self._complete:
            self._error = cause if isinstance(cause, Broken) else Broken(str(cause))
        self._surplus = True
        self.close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wait(self, due: float) -> asyncio.Future[None]:
        """Await it until something comes. One timer sees to however many waits there are: most of them are short, and a
        timer for each would cost more than they do."""
        self._waiter = self._loop.create_future()
        self._due = due
        if due != NEVER and (self._timer is None or self._timer.when() > due):
            self._look_at(due)
        return self._waiter

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._due == NEVER:
            return
        if self._loop.time() >= self._due:
            self._waiter.set_exception(TimeoutError())
        else:
            self._look_at(self._due)

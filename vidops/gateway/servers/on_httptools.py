"""`server: {type: httptools}`: HTTP/1.1 by llhttp; a WebSocket's handshake and HTTP/2 are handed over to Hypercorn.

A head is collected until it is whole, so that what it was made of is still there to be judged, or to be handed over.
Then it is an exchange's turn, one at a time: what comes behind waits, and the client with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable
from functools import partial
from typing import Any, cast

from hypercorn.utils import parse_socket_addr

from vidops.asgi import DIRECT
from vidops.gateway import lines
from vidops.gateway.body import INCOMING
from vidops.gateway.config import KEEP_ALIVE, LAST_WORDS, MAX_HEAD
from vidops.gateway.direct import TransportStream
from vidops.gateway.guard import Refused
from vidops.gateway.outflow import ABORT
from vidops.gateway.peer import tls_extension
from vidops.gateway.reply import ALT_SVC
from vidops.gateway.servers.exchange import Exchange, refused
from vidops.gateway.servers.heads import INVALID, Head, Heads
from vidops.gateway.servers.on_hypercorn import HypercornServer
from vidops.gateway.servers.scopes import scope_of
from vidops.resources.catalogue import Scope, ServerContext

HIGH, LOW = 256 * 1024, 64 * 1024
"""Bytes of a connection's input that wait: above the first nothing more is read, below the second it goes on. As much
as Hypercorn's queues hold: while all of it is there, nobody sees whether the client is."""
LINGER = 2.0
"""Seconds that a client which is refused has to stop sending: a connection closed on unread bytes is reset, and the
answer lost with it."""


class HttptoolsServer:
    """`catalogue.Server`."""

    def __init__(self, context: ServerContext) -> None:
        self.context = context
        self.other = HypercornServer(context)
        self.ending = False
        self._open: set[FrontConnection] = set()

    def connect(self) -> asyncio.BaseProtocol:
        return FrontConnection(self)

    async def finish(self) -> None:
        self.ending = True
        for connection in list(self._open):
            connection.finish()
        await self.other.finish()

    def opened(self, connection: FrontConnection) -> None:
        self._open.add(connection)
        self.context.connections.add(connection)

    def closed(self, connection: FrontConnection) -> None:
        self._open.discard(connection)
        self.context.connections.discard(connection)


class FrontConnection(asyncio.Protocol):
    """One connection, `exchange.Carrier` of one exchange after another. It is over when it is lost and the last
    application has returned."""

    def __init__(self, server: HttptoolsServer) -> None:
        self.ending = False
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._heads = Heads()
        self._buffer: bytes | bytearray = b""
        self._scanned = 0
        self._blank = 0
        self._exchange: Exchange | None = None
        self._running: set[Exchange] = set()
        self._held = False
        self._deaf = False
        self._ended = False
        self._lost = False
        self._writable: asyncio.Future[None] | None = None
        self._corked = b""
        self._idle_since = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._hurry: asyncio.TimerHandle | None = None
        self._tls: dict[str, Any] | None = None
        self._client: Any = None
        self._address: Any = None

    # -- asyncio's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._server.opened(self)
        self.ending = self._server.ending
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            if tls.selected_alpn_protocol() == "h2":
                self._hand_over(b"")
                return
            self._tls = tls_extension(tls)
        sock: socket.socket = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it has left already, which will be told next
            self._client = parse_socket_addr(sock.family, sock.getpeername())
            self._address = parse_socket_addr(sock.family, sock.getsockname())
        self._idle_since = self._loop.time()
        self._idle = self._loop.call_later(KEEP_ALIVE, self._look)
        if self.ending:  # it was in its handshake
            self._close()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        exchange = self._exchange
        if exchange is None:
            self._collect(data)
            self._advance()
        elif exchange.complete:
            self._collect(data)
        else:
            self._feed(exchange, data)
        self._hold()

    def eof_received(self) -> bool:
        """Who has said all it will has left, like everywhere here; an answer that is nearly there may still go out."""
        self._ended = True
        if self._exchange is None or self._deaf or self._tls is not None:
            if not self._deaf:  # what is left may go out, but not for ever
                self._silence()
                self._idle = self._loop.call_later(LAST_WORDS, self._transport.abort)
            return False
        self._left()
        return True

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._ended = self._deaf = True
        self._held = False
        self._silence()
        self.resume_writing()
        self._left()
        self._exchange = None
        if not self._running:
            self._server.closed(self)

    # -- the gateway's side ------------------------------------------------------------------------------------

    def abort(self) -> None:
        """Drop the connection now."""
        self._transport.abort()

    def finish(self) -> None:
        """Take no other request."""
        self.ending = True
        if self._exchange is None and not self._deaf:
            self._close()

    # -- exchange.Carrier --------------------------------------------------------------------------------------

    def put(self, data: bytes, *, cork: bool = False) -> None:
        if self._deaf or self._transport.is_closing():
            return
        if cork:
            self._corked = data
            self._loop.call_soon(self._uncork)
        elif self._corked:
            corked, self._corked = self._corked, b""
            self._transport.writelines((corked, data))
        else:
            self._transport.write(data)

    def room(self) -> Awaitable[None] | None:
        if self._deaf or self._transport.is_closing():
            return asyncio.sleep(0)  # who sends without end must still be told, or cancelled
        return None if self._writable is None else asyncio.shield(self._writable)

    def taken(self) -> None:
        if self._held and self._waiting < LOW:
            self._held = False
            self._transport.resume_reading()

    def answered(self, exchange: Exchange, *, keep: bool) -> None:
        exchange.end()
        if exchange is not self._exchange or self._deaf:
            return
        self._uncork()
        if not keep or not exchange.complete or self.ending or self._ended:
            self._close(linger=not exchange.complete)
            return
        self._exchange = None
        self._idle_since = self._loop.time()
        if self._buffer:
            self._advance()
        self.taken()

    def _uncork(self) -> None:
        """Write the head that waited for what comes behind it."""
        corked, self._corked = self._corked, b""
        if corked and not self._transport.is_closing():
            self._transport.write(corked)

    # -- requests ----------------------------------------------------------------------------------------------

    @property
    def _waiting(self) -> int:
        return len(self._buffer) + (self._exchange.size if self._exchange is not None else 0)

    def _collect(self, data: bytes) -> None:
        if not self._buffer:
            self._buffer = data
        else:
            if not isinstance(self._buffer, bytearray):
                self._buffer = bytearray(self._buffer)
            self._buffer += data

    def _hold(self) -> None:
        if not self._held and not self._deaf and self._waiting > HIGH:
            self._held = True
            self._transport.pause_reading()

    def _advance(self) -> None:
        """Begin the next request, if its head is whole; a head that has begun must end in time."""
        buffer = self._buffer
        if buffer[0] == 0x0D and (skipped := lines.blank(buffer, self._blank)):
            self._blank += skipped
            self._scanned = 0
            buffer = self._buffer = buffer[2 * skipped :]
            if not buffer:
                self._unhurry()
                return
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end > MAX_HEAD or (end < 0 and len(buffer) > MAX_HEAD):
            self._refuse(Refused(431, "the head of the request is too large"))
        elif end >= 0:
            self._unhurry()
            self._scanned = self._blank = 0
            text, self._buffer = bytes(buffer[: end + 4]), bytes(buffer[end + 4 :])
            try:
                head = self._heads.parse(text)
            except Refused as refusal:
                self._refuse(refusal)
            else:
                self._begin(head, text)
        elif (buffer[0] <= 0x20 and buffer != b"\r") or lines.fault(buffer, self._scanned):
            self._refuse(Refused(400, INVALID))
        else:
            self._scanned = len(buffer)
            if self._hurry is None:
                self._hurry = self._loop.call_later(self._server.context.head_timeout, self._too_slow)

    def _begin(self, head: Head, text: bytes) -> None:
        if head.websocket:
            self._hand_over(text + self._buffer)
            return
        exchange = self._exchange = Exchange(self, head)
        self._running.add(exchange)
        work: Any = self._server.context.app(self._scope(head, exchange), exchange.receive, exchange)
        exchange.task = self._loop.create_task(work)
        exchange.task.add_done_callback(partial(self._over, exchange))
        if not exchange.complete:
            rest, self._buffer = bytes(self._buffer), b""
            if rest:
                self._feed(exchange, rest)

    def _feed(self, exchange: Exchange, data: bytes) -> None:
        try:
            self._buffer = exchange.feed(data)
        except Refused as refusal:
            # What follows is no request either, whatever it looks like.
            exchange.client_left()
            self._refuse(refusal)

    def _scope(self, head: Head, exchange: Exchange) -> Scope:
        scope = scope_of(head, self._client, self._address, self._tls)
        if self._tls is None:
            exchange.direct = scope["extensions"][DIRECT] = TransportStream(self._transport, head.version)
        else:
            scope[ALT_SVC] = self._ways()
        scope[ABORT] = self.abort
        scope[INCOMING] = exchange
        return scope

    def _ways(self) -> bytes | None:
        """What an answer says of HTTP/3, if there is any now."""
        if self._address is None or self._address[1] is None:
            return None
        return self._server.context.alt_svc(self._address[1])

    def _over(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        """An application has returned, or was cancelled before it began."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._server.context.log({"level": "warning", "event": "connection_failed", "error": repr(error)})
        self._running.discard(exchange)
        exchange.over()
        if self._lost:
            if not self._running:
                self._server.closed(self)
        elif not exchange.done and not self._deaf:
            if not exchange.started and not exchange.gone and not self._transport.is_closing():
                self.put(b"HTTP/1.1 500 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            # What has begun cannot be mended: the end of the connection tells.
            self._close()
        else:
            self.taken()

    # -- ends --------------------------------------------------------------------------------------------------

    def _hand_over(self, data: bytes) -> None:
        """Hypercorn goes on with this connection, as if it had been there from the first of these bytes on."""
        self._deaf = True
        self._silence()
        protocol = cast(asyncio.Protocol, self._server.other.connect())
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._writable is not None:
            protocol.pause_writing()
            self.resume_writing()  # who waits for room here is told by nobody else
        if self._held:
            self._held = False
            self._transport.resume_reading()
        if data:
            protocol.data_received(data)
        self._server.closed(self)

    def _refuse(self, refusal: Refused) -> None:
        """Answer a request that is none, and close."""
        direct = self._exchange.direct if self._exchange is not None else None
        if direct is not None and direct.opened:
            self._close()  # its answer is on its way, by hand: nothing goes in between, and nothing comes after
            return
        if self._exchange is None or not self._exchange.started:
            self.put(refused(refusal))
        self._close(linger=True)

    def _unhurry(self) -> None:
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None

    def _too_slow(self) -> None:
        self._hurry = None
        self._refuse(Refused(408, "the head of the request came too slowly"))

    def _look(self) -> None:
        """Close a connection that has been idle for too long; one timer serves however many requests there are."""
        due = (self._idle_since if self._exchange is None else self._loop.time()) + KEEP_ALIVE
        if due > self._loop.time():
            self._idle = self._loop.call_at(due, self._look)
        else:
            self._idle = None
            self._close()

    def _left(self) -> None:
        for exchange in self._running:
            exchange.client_left()

    def _close(self, *, linger: bool = False) -> None:
        """Nothing more is read, what is written goes out; who does not take it is dropped."""
        self._uncork()
        held, self._held = self._held, False
        self._deaf = True
        self._buffer = b""
        self._silence()
        self._idle = self._loop.call_later(LAST_WORDS, self._transport.abort)
        if self._transport.is_closing():
            return
        if linger and not self._ended and self._transport.can_write_eof():
            self._transport.write_eof()
            if held:
                self._transport.resume_reading()
            self._hurry = self._loop.call_later(LINGER, self._transport.close)
        else:
            self._transport.close()

    def _silence(self) -> None:
        for timer in (self._idle, self._hurry):
            if timer is not None:
                timer.cancel()
        self._idle = self._hurry = None

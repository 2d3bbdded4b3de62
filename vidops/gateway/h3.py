"""One HTTP/3 connection: aioquic's protocol machines, Hypercorn's streams, and our task group around requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aioquic.h3.connection import CONNECTION_SPECIFIC_HEADERS, ErrorCode
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events as quic_events
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.protocol.events import (
    Body,
    Data,
    EndBody,
    EndData,
    Event,
    InformationalResponse,
    Request,
    Response,
    StreamClosed,
    Trailers,
)
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState

from vidops.gateway import beside, h3head
from vidops.gateway.bounded import MAX_STREAMS, BoundedHttp, BoundedQuic
from vidops.gateway.config import MAX_HEAD
from vidops.gateway.datagrams import Address
from vidops.gateway.exchange import Exchanges
from vidops.gateway.messages import MessageStream
from vidops.gateway.outflow import ABORT
from vidops.gateway.peer import quic_extension
from vidops.gateway.quic import Link
from vidops.resources.catalogue import ASGIApp, Scope

HANDSHAKE_TIMEOUT = 10.0
MAX_RUNNING = 2 * MAX_STREAMS
"""Requests that run, those included that their client has reset: opening and resetting is no way to have more."""
PART = 64 * 1024
"""Bytes of a body in one message to the application."""


@dataclass(eq=False)
class _Stream:
    """A request, whose `body` waits for the application until it is `complete`.

    `started`: the application runs. `begun`: the answer's head is given out; `answered`: all of it. `over`: nobody
    waits for more. `left`: bytes of the length that was announced.
    """

    asgi: HTTPStream | MessageStream
    request: Request
    left: int | None = None
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False
    over: bool = False
    answered: bool = False
    begun: bool = False
    started: bool = False
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    feeder: asyncio.Task[Any] | None = None


class QuicCall:
    """Runs until the connection is over: `await QuicCall(...).run()`. `received` takes its datagrams."""

    def __init__(self, app: ASGIApp, config: Config, context: WorkerContext, quic: BoundedQuic, link: Link) -> None:
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._context = context
        self._quic = quic
        self._link = link
        self._group = Exchanges(self._loop, app, self._prepare)
        self._client = link.client
        self._http: BoundedHttp | None = None
        self._streams: dict[int, _Stream] = {}
        self._next_stream = 0
        self._early: list[tuple[bytes, Address]] | None = []
        self._over = asyncio.Event()
        self._failure: Exception | None = None
        self._ending = False
        self._tls: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._flush: asyncio.Handle | None = None
        self._deadline: asyncio.TimerHandle | None = self._loop.call_later(HANDSHAKE_TIMEOUT, self.abort)

    async def run(self) -> None:
        try:
            async with self._group:
                self._group.spawn(self._end_in_order)
                early, self._early = self._early or [], None
                for data, address in early:
                    self.received(data, address)
                await self._over.wait()
                self._group.stop_helpers()
                self._group.client_left()
                for stream_id in list(self._streams):
                    self._leave(stream_id, ErrorCode.H3_NO_ERROR)
        finally:
            self.abort()
            for handle in (self._timer, self._flush, self._deadline):
                if handle is not None:
                    handle.cancel()
            self._link.close()
        if self._failure is not None:
            raise self._failure

    def abort(self) -> None:
        """Drop the connection now."""
        if not self._over.is_set():
            self._over.set()
            self._quic.close(error_code=ErrorCode.H3_NO_ERROR)
            self._advance()

    def received(self, data: bytes, address: Address) -> None:
        if self._early is not None:
            self._early.append((data, address))
        elif not self._over.is_set():
            self._advance(partial(self._quic.receive_datagram, data, address))

    # -- QUIC --------------------------------------------------------------------------------------------------

    def _advance(self, step: Callable[..., None] | None = None) -> None:
        """A step of the protocol machine and what follows from it; or else what is to be sent."""
        try:
            if step is not None:
                step(now=self._loop.time())
                while not self._over.is_set() and (event := self._quic.next_event()) is not None:
                    self._event(event)
                self._soon()  # once for all datagrams that have come
            else:
                self._transmit()
        except Exception as error:  # noqa: BLE001 - what a peer sent must not end more than its connection
            self._failure = self._failure or error
            self.abort()

    def _timed(self) -> None:
        self._timer = self._timer_at = None
        if not self._over.is_set():
            self._advance(self._quic.handle_timer)

    def _transmit(self) -> None:
        """Send what may be sent now, and have those look again who wait for room."""
        for data, address in self._quic.datagrams_to_send(now=self._loop.time()):
            self._link.send(data, address)
        wanted = self._quic.get_timer()
        if wanted != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(wanted, self._timed) if wanted is not None else None
            self._timer_at = wanted
        for stream in self._streams.values():
            stream.room.set()
        if self._ending and not self._streams and self._quic.answers_arrived:
            self.abort()

    def _soon(self) -> None:
        """Send in a moment: what is written meanwhile goes along."""
        if self._flush is None and not self._over.is_set():
            self._flush = self._loop.call_soon(self._flushed)

    def _flushed(self) -> None:
        self._flush = None
        if not self._over.is_set():
            self._advance()

    def _event(self, event: quic_events.QuicEvent) -> None:
        if isinstance(event, quic_events.ConnectionTerminated):
            self._over.set()
        elif isinstance(event, quic_events.ConnectionIdIssued):
            self._link.route(event.connection_id, self)
        elif isinstance(event, quic_events.ConnectionIdRetired):
            self._link.forget_route(event.connection_id)
        elif isinstance(event, quic_events.ProtocolNegotiated):
            self._http = BoundedHttp(self._quic)
        elif isinstance(event, quic_events.HandshakeCompleted):
            self._link.established()
            self._tls = quic_extension(self._quic.tls)
            self._rest()
        if self._http is None:
            return
        for http_event in self._http.handle_event(event):
            self._http_event(http_event)
        if isinstance(event, quic_events.StreamReset | quic_events.StopSendingReceived):
            self._leave(event.stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        elif isinstance(event, quic_events.StreamDataReceived) and self._http.unread(event.stream_id) > MAX_HEAD:
            self._quic.close(error_code=ErrorCode.H3_EXCESSIVE_LOAD)

    def _rest(self) -> None:
        """No request is open: the connection has a while for the next one."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(self._config.keep_alive_timeout, self.abort)

    async def _end_in_order(self) -> None:
        """The gateway ends: requests that are open are answered, others are told to go elsewhere."""
        await self._context.terminated.wait()
        self._ending = True
        if self._http is None:
            self.abort()
            return
        self._http.go_away(self._next_stream)
        self._soon()

    # -- HTTP/3, the client's side -----------------------------------------------------------------------------

    def _http_event(self, event: H3Event) -> None:
        if not isinstance(event, HeadersReceived | DataReceived):
            return
        stream = self._streams.get(event.stream_id)
        if isinstance(event, HeadersReceived) and h3head.is_request(event.headers):
            stream = self._begin(event)
        if stream is None:
            return  # it is answered or refused already
        if isinstance(event, DataReceived):
            if stream.left is not None:
                stream.left -= len(event.data)
                if stream.left < 0:  # aioquic looks at the end, and there need not be one
                    self._leave(event.stream_id, ErrorCode.H3_MESSAGE_ERROR)
                    return
            stream.body += event.data
            self._quic.hold(event.stream_id, len(event.data))
        stream.complete = stream.complete or event.stream_ended
        stream.news.set()

    def _begin(self, event: HeadersReceived) -> _Stream | None:
        """A new request; None where it is refused."""
        number = event.stream_id
        self._next_stream = max(self._next_stream, number + 4)
        if self._ending:
            self._refuse(number, ErrorCode.H3_REQUEST_REJECTED)
            return None
        if self._group.running >= MAX_RUNNING:
            self._quic.close(error_code=ErrorCode.H3_EXCESSIVE_LOAD)
            return None
        try:
            head = h3head.read(event.headers)
        except h3head.Refused as refusal:
            self._answer(number, refusal.status)
            return None
        self._client = self._where() or self._client
        kind = MessageStream if head.websocket else HTTPStream
        unused: Any = None  # Hypercorn hands it to `Exchanges.spawn_app`, which has its own application
        group: Any = self._group
        asgi = kind(
            unused, self._config, self._context, group, True, self._client, self._link.server, self._send, number
        )
        request = Request(number, head.fields, "3", head.method, head.path, ConnectionState({}))
        stream = self._streams[number] = _Stream(asgi, request, head.length)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._group.spawn(self._feed, stream)
        return stream

    def _where(self) -> tuple[str, int] | None:
        """Rules about addresses look at the one that the client has shown to be its own."""
        address = self._quic.validated_peer
        return (address[0], address[1]) if address is not None else None

    async def _feed(self, stream: _Stream) -> None:
        """Start the application and hand it the body, as fast as it takes it."""
        if stream.over:
            return
        stream.feeder = asyncio.current_task()
        number = stream.request.stream_id
        stream.started = True
        try:
            await stream.asgi.handle(stream.request)
        except (ValueError, LookupError):
            # Hypercorn decodes some fields of a handshake before any application is asked.
            self._leave(number, ErrorCode.H3_MESSAGE_ERROR)
            return
        while not stream.over and not stream.asgi.closed:
            if stream.body:
                data = bytes(stream.body[:PART])
                del stream.body[:PART]
                await stream.asgi.handle(Body(number, data))
                self._quic.take(number, len(data))
                self._soon()
            elif stream.complete and isinstance(stream.asgi, MessageStream):
                self._leave(number, ErrorCode.H3_NO_ERROR)
            elif stream.complete:
                await stream.asgi.handle(EndBody(number))
                return
            else:
                stream.news.clear()
                await stream.news.wait()
        self._finish(stream)

    def _leave(self, stream_id: int, code: int) -> None:
        """The client has gone from this request, or is let go."""
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        self._close(stream)
        self._refuse(stream_id, code)
        self._soon()

    def _drop(self, stream_id: int) -> None:
        self._leave(stream_id, ErrorCode.H3_INTERNAL_ERROR)

    def _close(self, stream: _Stream) -> None:
        stream.over = True
        stream.room.set()
        if stream.feeder is not None and stream.feeder is not asyncio.current_task():
            stream.feeder.cancel()
        if stream.started:
            self._group.spawn(stream.asgi.handle, StreamClosed(stream.request.stream_id))
        if not self._streams:
            self._rest()

    def _refuse(self, stream_id: int, code: int) -> None:
        self._quic.reset_stream(stream_id, code)
        self._quic.release(stream_id, code)
        if self._http is not None:
            self._http.forget(stream_id)

    def _answer(self, stream_id: int, status: int) -> None:
        """To what is not a request that an application could be asked."""
        if self._http is not None and self._quic.answerable(stream_id):
            head = [(b":status", b"%d" % status), (b"content-length", b"0")]
            self._http.send_headers(stream_id, head, end_stream=True)
            self._quic.release(stream_id, ErrorCode.H3_NO_ERROR)

    # -- HTTP/3, the application's side ------------------------------------------------------------------------

    def _prepare(self, scope: Scope, send: Any) -> None:
        scope["extensions"]["tls"] = self._tls
        beside.offer(scope)
        scope["extensions"].pop("http.response.push", None)  # browsers take none any more
        scope[ABORT] = partial(self._drop, send.__self__.stream_id)

    async def _send(self, event: Event) -> None:
        """What Hypercorn's streams give out. After the client's leaving it goes nowhere."""
        number = event.stream_id
        stream = self._streams.get(number)
        if stream is None or self._http is None or self._over.is_set():
            return
        if isinstance(event, Response | InformationalResponse):
            stream.begun = stream.begun or isinstance(event, Response)
            named = [(name.lower(), value) for name, value in event.headers]
            fields = [(name, value) for name, value in named if name not in CONNECTION_SPECIFIC_HEADERS]
            self._http.send_headers(number, [(b":status", b"%d" % event.status_code), *fields])
        elif isinstance(event, Body | Data):
            self._http.send_data(number, event.data, False)
            self._soon()
            while self._quic.crowded(number) and not stream.over:
                stream.room.clear()
                await stream.room.wait()
        elif isinstance(event, Trailers):
            stream.trailers = event.headers
        elif isinstance(event, EndBody | EndData):
            self._end_answer(stream)
        elif isinstance(event, StreamClosed):
            self._finish(stream)
        self._soon()

    def _end_answer(self, stream: _Stream) -> None:
        if self._http is None or stream.answered:
            return
        stream.answered = True
        if stream.trailers:
            named = [(name.lower(), value) for name, value in stream.trailers]
            self._http.send_headers(stream.request.stream_id, named, end_stream=True)
        else:
            self._http.send_data(stream.request.stream_id, b"", True)

    def _finish(self, stream: _Stream) -> None:
        """The application has done with it. An answer that it did not end is told to be broken."""
        number = stream.request.stream_id
        if self._streams.pop(number, None) is None:
            return
        if stream.begun and isinstance(stream.asgi, MessageStream):
            self._end_answer(stream)
        if not stream.answered:
            self._quic.reset_stream(number, ErrorCode.H3_INTERNAL_ERROR)
            if self._http is not None:
                self._http.forget(number)
        self._quic.release(number, ErrorCode.H3_NO_ERROR)
        self._close(stream)
        self._soon()

"""One HTTP/2 connection: Hypercorn's, in which a stream's end is that of the stream only (its version is pinned)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.events import Event as H2Event
from h2.exceptions import ProtocolError
from hypercorn.events import Closed, Updated
from hypercorn.protocol.events import Body, EndBody, Event, Request, StreamClosed, Trailers
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BUFFER_LOW_WATER, BufferCompleteError, H2Protocol, StreamBuffer
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from priority.priority import DuplicateStreamError, MissingStreamError

from vidops.gateway import h3head, handshake
from vidops.gateway.exchange import Exchange, Exchanges
from vidops.gateway.messages import MessageStream

WINDOW = 256 * 1024
"""Bytes of all requests of a connection that may wait for their applications. Of one, it is 64 KiB, as HTTP/2 begins:
so some that nobody reads leave room for others."""
MAX_RUNNING = 200
"""Requests that run, those included that their client has reset: opening and resetting is no way to have more."""


class Outbox(StreamBuffer):
    """What of an answer waits for its reader. Hypercorn's lets its writer go on whenever little was taken of it, which
    nothing is, too."""

    @property
    def ended(self) -> bool:
        """Whether the answer is whole, given out or not."""
        return self._complete

    async def push(self, data: bytes) -> None:
        if self._complete:
            raise BufferCompleteError
        self.buffer.extend(data)
        await self._is_empty.clear()
        while len(self.buffer) >= BUFFER_HIGH_WATER and not self._complete:
            await self._paused.clear()
            await self._paused.wait()

    async def pop(self, max_length: int) -> bytes:
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < BUFFER_LOW_WATER:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


class PlainH2(H2Protocol):
    """`streams`: those whose application has not ended; `stream_buffers`: those whose answer has not."""

    stream_buffers: dict[int, Outbox]  # type: ignore[assignment]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._inboxes: dict[int, asyncio.Queue[DataReceived | StreamEnded | None]] = {}
        # Hypercorn tells clients of its limit after h2 has looked for one, and twice as much was taken.
        self.connection.decoder.max_header_list_size = self.config.h2_max_header_list_size

    # -- the client's side -------------------------------------------------------------------------------------

    async def initiate(self, headers: list[tuple[bytes, bytes]] | None = None, settings: bytes | None = None) -> None:
        await super().initiate(headers, settings)
        self.connection.increment_flow_control_window(WINDOW - self.connection.inbound_flow_control_window)
        await self._flush()

    async def _handle_events(self, events: list[H2Event]) -> None:
        if self.context.terminated.is_set():
            events = self._without_new(events)
        for event in events:
            if isinstance(event, RequestReceived) and self._crowded:
                self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
                await self._flush()
                await self.send(Closed())
                return
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                self._ignore(event)
            elif isinstance(event, DataReceived):
                self._inbox(event.stream_id).put_nowait(event)
            elif isinstance(event, StreamEnded) and event.stream_id in self._inboxes:
                self._inboxes[event.stream_id].put_nowait(event)
            elif isinstance(event, StreamReset):
                await self._given_up(event.stream_id)
            else:
                await super()._handle_events([event])
                if isinstance(event, RequestReceived) and event.stream_id not in self.streams:
                    await self._rest()  # it was refused
        await self._flush()

    def _inbox(self, stream_id: int) -> asyncio.Queue[DataReceived | StreamEnded | None]:
        """What of a request's body waits for its application: Hypercorn waits itself, and reads of nobody else."""
        inbox = self._inboxes.get(stream_id)
        if inbox is None:
            inbox = self._inboxes[stream_id] = asyncio.Queue()
            self.task_group.spawn(self._feed, self.streams[stream_id], inbox)
        return inbox

    async def _feed(
        self, stream: HTTPStream | WSStream, inbox: asyncio.Queue[DataReceived | StreamEnded | None]
    ) -> None:
        """Until the stream ends. What its application has taken, or never will, its client may send again as much."""
        while (event := await inbox.get()) is not None:
            if isinstance(event, StreamEnded):
                await stream.handle(EndBody(event.stream_id))
                continue
            await stream.handle(Body(event.stream_id, data=event.data))
            with contextlib.suppress(ProtocolError):
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            await self._flush()

    async def _close_stream(self, stream_id: int) -> None:
        if (inbox := self._inboxes.pop(stream_id, None)) is not None:
            inbox.put_nowait(None)
        await super()._close_stream(stream_id)

    @property
    def _crowded(self) -> bool:
        group: Any = self.task_group
        return isinstance(group, Exchanges) and group.running >= MAX_RUNNING

    async def _given_up(self, stream_id: int) -> None:
        """Its client wants no more of it. A WebSocket's application has a while to hear of that: to it, this is what
        the end of a connection is."""
        stream: Any = self.streams.get(stream_id)
        exchange = getattr(getattr(stream, "app_put", None), "__self__", None)
        if isinstance(stream, HTTPStream) and isinstance(exchange, Exchange):
            exchange.given_up()
        await self._close_stream(stream_id)
        await self._discard(stream_id)
        await self._rest()

    def _without_new(self, events: list[H2Event]) -> list[H2Event]:
        """Hypercorn says of a request that comes after the end's announcement that all is well with it."""
        refused = {e.stream_id for e in events if isinstance(e, RequestReceived)}
        for stream_id in refused:
            # It was not looked at: another connection may take it (RFC 9113, 8.7).
            self.connection.reset_stream(stream_id, error_code=ErrorCodes.REFUSED_STREAM)
        return [e for e in events if getattr(e, "stream_id", None) not in refused]

    def _ignore(self, event: DataReceived) -> None:
        """A part of a request that is answered already: the connection's window is not that request's alone."""
        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if event.stream_id not in self.stream_buffers:
            self._reset(event.stream_id, ErrorCodes.NO_ERROR)

    async def _create_stream(self, request: RequestReceived) -> None:
        """Hypercorn's, for heads of all kinds, with our outbox, and WebSockets that hold less."""
        number = request.stream_id
        try:
            head = h3head.read(list(request.headers), schemes=(b"https", b"http"))
        except h3head.Refused as refusal:
            self._answer(number, refusal.status)
            return
        if head.websocket and handshake.fault(head.fields, keyed=False):
            self._answer(number, 400)
            return
        kind = MessageStream if head.websocket else HTTPStream
        stream = self.streams[number] = kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            number,
        )
        self.stream_buffers[number] = Outbox(self.context.event_class)
        with contextlib.suppress(DuplicateStreamError):  # a PRIORITY frame came before
            self.priority.insert_stream(number)
            self.priority.block(number)
        try:
            await stream.handle(Request(number, head.fields, "2", head.method, head.path, self.connection_state))
        except (ValueError, LookupError):
            # Hypercorn decodes some fields of a handshake before any application is asked.
            del self.streams[number]
            await self._discard(number)
            self._reset(number, ErrorCodes.PROTOCOL_ERROR)
        self.keep_alive_requests += 1
        await self.context.mark_request()

    def drop(self, stream_id: int) -> Coroutine[Any, Any, None]:
        """End a stream from outside. Of its answer nothing goes out from now on; await the rest."""
        return self._drop(stream_id, self.stream_buffers.pop(stream_id, None))

    async def _drop(self, stream_id: int, outbox: Outbox | None) -> None:
        if outbox is not None:
            await outbox.close()
        await self._discard(stream_id)
        self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
        await self._close_stream(stream_id)
        await self._rest()

    def _answer(self, stream_id: int, status: int) -> None:
        """To what is not a request that an application could be asked."""
        head = [(b":status", b"%d" % status), (b"content-length", b"0")]
        with contextlib.suppress(ProtocolError):
            self.connection.send_headers(stream_id, head, end_stream=True)

    # -- the application's side --------------------------------------------------------------------------------

    async def stream_send(self, event: Event) -> None:
        if isinstance(event, StreamClosed):
            await self._finish(event.stream_id)
        elif not isinstance(event, Trailers) or event.headers:
            # Of a block of no fields, Hypercorn believes that it was sent, and that it ended the stream.
            await super().stream_send(event)

    async def _finish(self, stream_id: int) -> None:
        """The application has done with it. An answer that it did not end is told to be broken."""
        stream, outbox = self.streams.get(stream_id), self.stream_buffers.get(stream_id)
        if outbox is not None:
            if isinstance(stream, WSStream) and stream.handshake.accepted:
                outbox.set_complete()
            if outbox.ended:
                await self._send_data(stream_id)
            else:
                await self._discard(stream_id)
                self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
        await self._close_stream(stream_id)
        await self._rest()

    async def _rest(self) -> None:
        """A stream has ended. Without others, the connection has a while for the next one."""
        idle = self.idle
        if idle and self.context.terminated.is_set():
            with contextlib.suppress(ProtocolError):
                self.connection.close_connection()
        await self._flush()
        await self.send(Updated(idle=idle))

    async def _send_data(self, stream_id: int) -> None:
        """Hypercorn's, for streams that may end while something is being sent, and with their last bytes."""
        outbox = self.stream_buffers.get(stream_id)
        if outbox is None:
            await self._discard(stream_id)
            return
        try:
            window = self.connection.local_flow_control_window(stream_id)
            data = await outbox.pop(max(0, min(window, self.connection.max_outbound_frame_size)))
            if data:
                self.connection.send_data(stream_id, data)
            else:
                self.priority.block(stream_id)
            if outbox.complete:
                self.connection.end_stream(stream_id)
                await self._discard(stream_id)
        except ProtocolError:
            await self._discard(stream_id)
        await self._flush()

    async def _discard(self, stream_id: int) -> None:
        """Nothing more of its answer goes out. Whoever waits to put something in goes on."""
        outbox = self.stream_buffers.pop(stream_id, None)
        if outbox is not None:
            await outbox.close()
        with contextlib.suppress(KeyError, MissingStreamError):
            self.priority.remove_stream(stream_id)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        with contextlib.suppress(ProtocolError):
            self.connection.reset_stream(stream_id, code)

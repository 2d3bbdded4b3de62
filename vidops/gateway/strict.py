"""HTTP/1 as strict as a front has to be, by narrowing Hypercorn's and h11's own classes (their versions are pinned).

h11 takes a bare LF for a line's end, Hypercorn answers an upgrade to h2c and cleartext HTTP/2 before any application
is asked, and both refuse without saying why. Here all of that is refused with a problem document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import h11
from h11._writers import ChunkedWriter
from hypercorn.asyncio.worker_context import EventWrapper
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import EndBody, InformationalResponse, Request, Trailers
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import WSStream

from vidops.asgi import json_bytes, problem
from vidops.gateway import handshake
from vidops.gateway.dates import http_date
from vidops.gateway.direct import TransportStream
from vidops.gateway.h1 import StrictConnection
from vidops.gateway.h2 import PlainH2
from vidops.gateway.tunnel import TunnelStream


class _Turn(EventWrapper):
    """What a second request waits for while the first is answered; waiting ends with the client, too."""

    lost = False

    def set_now(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await super().wait()
        if self.lost:
            raise ConnectionResetError("the client has gone")


class StrictH11(H11Protocol):
    """One HTTP/1 connection."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.can_read: _Turn = _Turn()
        self.direct: TransportStream | None = None
        """By which the application may answer the request that is being served."""
        self._trailers: list[tuple[bytes, bytes]] = []
        self._incoming = self.connection = StrictConnection(self.config.h11_max_incomplete_size)

    @property
    def head_pending(self) -> bool:
        """Whether a request's head has begun and not ended."""
        connection = self.connection
        return (
            isinstance(connection, h11.Connection)
            and connection.their_state is h11.IDLE
            and bool(connection.trailing_data[0])
        )

    # -- body.Incoming -----------------------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        return self._incoming.their_state is not h11.SEND_BODY

    @property
    def waits(self) -> bool:
        return self._incoming.waits

    async def go_on(self) -> None:
        self._incoming.waits = False
        if self._incoming.our_state is h11.SEND_RESPONSE:
            await self._send_h11_event(h11.InformationalResponse(headers=[], status_code=100))

    # ----------------------------------------------------------------------------------------------------------

    def give_up(self) -> None:
        """The client has gone: a request that waits for its turn is not answered any more."""
        self.can_read.lost = True
        self.can_read.set_now()

    async def refuse(self, status: int, detail: str, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Answer a request that is none, and close."""
        connection = self.connection
        answered = self.direct is not None and self.direct.opened
        if (
            not answered
            and not isinstance(connection, H11WSConnection)
            and connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}
        ):
            body = json_bytes(problem(status, detail))
            headers = [
                (b"content-type", b"application/problem+json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
                (b"date", http_date()),
                *more,
            ]
            await self._send_h11_event(h11.Response(headers=headers, status_code=status))
            await self._send_h11_event(h11.Data(data=body))
            await self._send_h11_event(h11.EndOfMessage())
        await self.send(Closed())

    async def _send_error_response(self, status_code: int) -> None:
        if status_code == handshake.OTHER_VERSION:
            fields = [(b"sec-websocket-version", handshake.VERSION), (b"upgrade", b"websocket")]
            await self.refuse(status_code, "WebSockets are spoken in version 13 here", fields)
            return
        texts = {431: "the head of the request is too large", 501: "this method or coding is not known"}
        await self.refuse(status_code, texts.get(status_code, "this is not a valid HTTP/1.1 request"))

    async def _check_protocol(self, event: h11.Request) -> None:
        # Upgrades to h2c are left to the guard, which refuses them; HTTP/2 without TLS is no protocol of ours.
        if event.method == b"PRI" or event.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("not HTTP/1.1", error_status_hint=505)
        if event.method != event.method.upper():
            # Hypercorn would make "GET" of "get", which is another method (RFC 9110, 9.1).
            raise h11.RemoteProtocolError("no such method", error_status_hint=501)

    async def _create_stream(self, request: h11.Request) -> None:
        """Hypercorn's, but for WebSockets, whose bytes can be had."""
        # It strips text, of which more is blank than of bytes.
        fields = [(name, value.decode("latin-1").strip().lower()) for name, value in request.headers]
        upgrade = any(n == b"upgrade" and v == "websocket" for n, v in fields)
        tokens = {token.strip() for n, v in fields if n == b"connection" for token in v.split(",")}
        if not upgrade or "upgrade" not in tokens or request.method.upper() != b"GET":
            await super()._create_stream(request)
            return
        status = handshake.fault(request.headers, keyed=True)
        if request.method != b"GET" or request.http_version != b"1.1":
            status = 400
        if status is not None:
            raise h11.RemoteProtocolError("not a WebSocket's handshake", error_status_hint=status)
        self.stream = TunnelStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        self.connection = H11WSConnection(cast(h11.Connection, self.connection))
        version = request.http_version.decode()
        state, headers = self.connection_state, list(request.headers)
        await self.stream.handle(Request(STREAM_ID, headers, version, "GET", request.target, state))
        self.keep_alive_requests += 1
        await self.context.mark_request()

    async def stream_send(self, event: StreamEvent) -> None:
        """Hypercorn's, with interim responses, and with trailers behind a body in chunks."""
        if isinstance(event, InformationalResponse):
            await self._send_h11_event(h11.InformationalResponse(headers=event.headers, status_code=event.status_code))
        elif isinstance(event, Trailers):
            self._trailers += event.headers
        elif isinstance(event, EndBody) and self._trailers:
            trailers, self._trailers = self._trailers, []
            chunked = isinstance(cast(h11.Connection, self.connection)._writer, ChunkedWriter)
            await self._send_h11_event(h11.EndOfMessage(headers=trailers if chunked else []))
        else:
            await super().stream_send(event)

    async def handle(self, event: Event) -> None:
        try:
            await super().handle(event)
        except h11.RemoteProtocolError as error:
            if isinstance(event, RawData):
                await self._send_error_response(error.error_status_hint)
        if isinstance(self.stream, WSStream) and self.stream.closed:
            # Hypercorn has refused it by itself (frames before the handshake's end), and would leave it open.
            await self.send(Closed())


class StrictProtocols(ProtocolWrapper):
    """HTTP/2 where TLS negotiated it, strict HTTP/1 otherwise."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        kind = StrictH11 if isinstance(self.protocol, H11Protocol) else PlainH2
        self.protocol = kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.state,
            self.ssl,
            self.client,
            self.server,
            self.send,
        )

"""An HTTP/3 client that keeps what it is told, and lets a test misbehave through `http` and `quic`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from tests.gateway.world import until


class _Http(H3Connection):
    """aioquic's, which takes the length that an answer to HEAD tells for a mistake."""

    def __init__(self, quic: QuicConnection) -> None:
        self.bodiless: set[int] = set()
        super().__init__(quic)

    def _check_content_length(self, stream: Any) -> None:
        if stream.stream_id not in self.bodiless:
            super()._check_content_length(stream)


class H3Client(QuicConnectionProtocol):
    """One connection. What comes is kept by stream: `heads`, `bodies`, `trailers`, `ended`, `reset`."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.quic = quic
        self.http = _Http(quic)
        self.heads: dict[int, list[tuple[bytes, bytes]]] = {}
        self.hints: list[tuple[bytes, bytes]] = []
        self.trailers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.stopped: dict[int, int] = {}
        self.over = False
        self.code: int | None = None
        self.deaf = False
        self.loss: Callable[[], bool] = lambda: False
        """Whether the datagram that comes, or is to be sent, is lost."""
        self.went_away = False

    @classmethod
    async def to(cls, port: int, cert: Path, *, host: str = "127.0.0.1", **options: Any) -> Self:
        """`cert`: the server's certificate. The rest: aioquic's options."""
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, **options)
        configuration.load_verify_locations(cafile=str(cert))
        configuration.server_name = host
        if host != "127.0.0.1":
            configuration.verify_mode = ssl.CERT_NONE
        loop = asyncio.get_running_loop()
        here = "::1" if ":" in host else "127.0.0.1"
        _, it = await loop.create_datagram_endpoint(
            lambda: cls(QuicConnection(configuration=configuration)), local_addr=(here, 0)
        )
        it.connect((host, port, 0, 0) if ":" in host else (host, port))
        await asyncio.wait_for(it.wait_connected(), 10)
        return it

    @property
    def certificate(self) -> Any:
        """The server's."""
        return self.quic.tls._peer_certificate

    @property
    def chain(self) -> Any:
        """What it has shown beside it."""
        return self.quic.tls._peer_certificate_chain

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        if not self.deaf and not self.loss():
            super().datagram_received(data, addr)

    def request(
        self,
        path: str,
        *more_fields: tuple[str, str],
        method: str = "GET",
        body: bytes | None = None,
        more: bool = False,
        authority: str = "localhost",
    ) -> int:
        stream = self.quic.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path), *more_fields]
        pairs = [(name.encode(), value.encode()) for name, value in fields]
        self.bodies[stream] = bytearray()
        if method == "HEAD":
            self.http.bodiless.add(stream)
        self.http.send_headers(stream, pairs, end_stream=body is None and not more)
        if body is not None:
            self.http.send_data(stream, body, end_stream=not more)
        self.transmit()
        return stream

    def status(self, stream: int) -> int:
        return int(dict(self.heads[stream])[b":status"])

    def field(self, stream: int, name: str) -> str:
        return dict(self.heads[stream])[name.encode()].decode()

    async def answer(self, stream: int, timeout: float = 10.0) -> tuple[int, bytes]:
        await until(lambda: stream in self.ended or self.over, f"the end of stream {stream}", timeout)
        assert stream in self.ended, (self.over, self.code)
        return self.status(stream), bytes(self.bodies[stream])

    async def get(self, path: str, *more_fields: tuple[str, str], **options: Any) -> tuple[int, bytes]:
        return await self.answer(self.request(path, *more_fields, **options))

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.ConnectionTerminated):
            self.over, self.code = True, event.error_code
        elif isinstance(event, events.StreamReset):
            self.reset[event.stream_id] = event.error_code
        elif isinstance(event, events.StopSendingReceived):
            self.stopped[event.stream_id] = event.error_code
        elif isinstance(event, events.StreamDataReceived) and event.stream_id % 4 == 3:
            self.went_away = self.went_away or event.data.startswith(b"\x07")
        for http_event in self.http.handle_event(event):
            self._note(http_event)

    def _note(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            if event.headers[0] == (b":status", b"103"):
                self.hints += event.headers[1:]
            elif event.stream_id in self.heads:
                self.trailers[event.stream_id] = event.headers
            else:
                self.heads[event.stream_id] = event.headers
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] += event.data
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            self.ended.add(event.stream_id)

    def vanish(self) -> None:
        """As a host does whose power is cut."""
        assert self._transport is not None
        self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()

    async def end(self) -> None:
        self.close()
        assert self._transport is not None
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()

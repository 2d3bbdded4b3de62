"""An HTTP/2 client that keeps what it is told, and lets a test misbehave through `connection`."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

from tests.gateway.world import until


class H2Client:
    """One connection. What comes is kept by stream: `interim`, `heads`, `bodies`, `trailers`, `ended`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.heads: dict[int, dict[str, str]] = {}
        self.interim: dict[int, list[list[tuple[str, str]]]] = {}
        self.trailers: dict[int, list[tuple[str, str]]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.over = False
        self.code: int | None = None
        """Why the server ended the connection."""
        self.acknowledge = True
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, port: int, cert: Path) -> Self:
        """`cert`: the server's certificate."""
        tls = ssl.create_default_context(cafile=str(cert))
        tls.check_hostname = False
        tls.set_alpn_protocols(["h2"])
        it = cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))
        assert it.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        it.connection.initiate_connection()
        it.flush()
        return it

    def lax(self) -> None:
        """From now on, send what HTTP/2 forbids."""
        self.connection.config.validate_outbound_headers = False
        self.connection.config.normalize_outbound_headers = False

    def flush(self) -> None:
        self.writer.write(self.connection.data_to_send())

    def request(
        self,
        path: str,
        *more_fields: tuple[str, str],
        method: str = "GET",
        body: bytes | None = None,
        more: bool = False,
    ) -> int:
        stream = self.connection.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "localhost"), *more_fields]
        self.connection.send_headers(stream, fields, end_stream=body is None)
        if body is not None:
            self.connection.send_data(stream, body, end_stream=not more)
        self.bodies[stream] = bytearray()
        self.flush()
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """More of a body, as fast as the server takes it; not, where it has reset the stream."""
        while data and stream not in self.reset:
            room = min(self.connection.local_flow_control_window(stream), 16_384)
            await self.writer.drain()
            if room <= 0:
                await asyncio.sleep(0.002)
                continue
            part, data = data[:room], data[room:]
            self.connection.send_data(stream, part, end_stream=end and not data)
            self.flush()

    async def answer(self, stream: int) -> tuple[int, bytes]:
        await until(lambda: stream in self.ended or self.over, f"the end of stream {stream}")
        return int(self.heads[stream][":status"]), bytes(self.bodies[stream])

    async def _read(self) -> None:
        while data := await self.reader.read(65536):
            for event in self.connection.receive_data(data):
                self._note(event)
            self.flush()
        self.over = True

    def _note(self, event: Any) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            self.interim.setdefault(event.stream_id, []).append(list(event.headers))
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers[event.stream_id] = list(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            if self.acknowledge:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.ended.add(event.stream_id)
            self.reset[event.stream_id] = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.code = event.error_code

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.writer.close()

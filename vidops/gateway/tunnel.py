"""`vidops.asgi.Tunnel`: a WebSocket's own bytes, behind the handshake of an HTTP/1.1 connection.

Hypercorn's WebSockets are messages: it answers pings, loses the client's close code, and agrees on extensions by
itself. A proxy that stands between two ends should do none of that.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.protocol.events import Body, Data, Event, Response, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState

from vidops.asgi import TUNNEL, Headers
from vidops.gateway.messages import MessageStream

QUEUED = 4
"""Reads (of at most 64 KiB) that wait for the application: beyond, the client is not read."""
_SWITCH: Headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]


class TunnelStream(MessageStream):
    """Messages, until the application claims the tunnel and accepts."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.claimed: Headers | None = None
        self.opened = False
        self._ended = False
        self._bytes: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = asyncio.Event()

    # -- asgi.Tunnel -------------------------------------------------------------------------------------------

    def claim(self, headers: Headers) -> None:
        self.claimed = headers

    async def read(self) -> bytes:
        if self._ended and self._bytes.empty():
            return b""
        data = await self._bytes.get()
        self._room.set()
        return data

    async def write(self, data: bytes) -> None:
        if not self.closed:
            await self.send(Data(stream_id=self.stream_id, data=data))

    def close(self) -> None:
        self._end()

    # -- Hypercorn's side --------------------------------------------------------------------------------------

    async def handle(self, event: Event) -> None:
        if not self.opened:
            await super().handle(event)
        elif isinstance(event, Body | Data):
            if not self._ended:
                self._bytes.put_nowait(event.data)
            while self._bytes.qsize() > QUEUED and not self._ended:
                self._room.clear()
                await self._room.wait()
        elif isinstance(event, StreamClosed):
            self.closed = True
            self._end()
            if self.app_put is not None:
                await self.app_put({"type": "websocket.disconnect", "code": 1006})

    async def app_send(self, message: Any) -> None:
        if self.opened and message is None:
            # Both ends have said what they had to; Hypercorn would add a close frame of its own.
            if not self.closed:
                await self.send(StreamClosed(stream_id=self.stream_id))
        elif not self.opened:
            await super().app_send(message)

    async def _accept(self, message: Any) -> None:
        if self.claimed is None:
            await super()._accept(message)
            return
        self.opened = True
        self.handshake.accepted = True
        self.state = ASGIWebsocketState.CONNECTED
        headers = [*_SWITCH, *self.claimed, *message.get("headers", ())]
        await self.send(Response(stream_id=self.stream_id, status_code=101, headers=headers))

    def _end(self) -> None:
        """Nothing more comes. Whoever waits to put something in goes on, whoever reads gets what is left."""
        self._ended = True
        self._bytes.put_nowait(b"")
        self._room.set()


def offer_tunnel(scope: Any, send: Any) -> None:
    """Have a handshake's application find its tunnel. `send`: the stream's own method."""
    stream = getattr(send, "__self__", None)
    if isinstance(stream, TunnelStream):
        scope["extensions"][TUNNEL] = stream

"""WebSockets as messages: Hypercorn's, with a bound on what a client can have the gateway hold.

Hypercorn agrees on compression whenever a client offers it, and wsproto inflates all of a read before anybody sees how
much it is: 200 kB were 280 MB. And of a message that is too large Hypercorn keeps what there is, and what comes after
it, until the client answers the close.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.protocol.events import Event, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WebsocketBuffer, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

CLOSING_TIME = 5.0
"""Seconds that a client has to answer the close with which its message was refused."""


class Gathered(WebsocketBuffer):
    """A message so far, measured in bytes."""

    def extend(self, event: Message[Any]) -> None:
        if isinstance(event.data, str) and not event.data.isascii():
            self.length += len(event.data.encode()) - len(event.data)
        super().extend(event)


class MessageStream(WSStream):
    """One WebSocket, over any version of HTTP."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.buffer = Gathered(self.config.websocket_max_message_size)
        self._refused = False
        self._said: CloseConnection | None = None

    async def handle(self, event: Event) -> None:
        """Hypercorn's, whose application hears with what code and reason the client closed, and not always 1006."""
        said, connected = self._said, self.state is ASGIWebsocketState.CONNECTED
        if not isinstance(event, StreamClosed) or said is None or not connected:
            await super().handle(event)
            return
        self._said, self.closed = None, True
        if self.app_put is not None:
            message: Any = {"type": "websocket.disconnect", "code": int(said.code), "reason": said.reason or ""}
            await self.app_put(message)

    async def _accept(self, message: Any) -> None:
        """Hypercorn's, without extensions: a frame is as large as what came."""
        self.handshake.extensions = None
        await super()._accept(message)

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, Message):
                await self._gather(event)
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                self._said = event
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                elif self.connection.state is ConnectionState.OPEN:
                    # It was no frame: the client is told so before the end (RFC 6455, 7.1.7).
                    await self._send_wsproto_event(CloseConnection(code=event.code))
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def _gather(self, event: Message[Any]) -> None:
        """After one message too large the rest is read, for the client to come to our close, and dropped."""
        if self._refused or self.app_put is None:
            return
        try:
            self.buffer.extend(event)
        except FrameTooLargeError:
            self._refused = True
            self.buffer.clear()
            await self._send_wsproto_event(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
            self.task_group.spawn(self._wait_for_close)
            return
        if event.message_finished:
            message: Any = self.buffer.to_message()
            self.buffer.clear()
            await self.app_put(message)

    async def _wait_for_close(self) -> None:
        await asyncio.sleep(CLOSING_TIME)
        if not self.closed:
            await self.send(StreamClosed(stream_id=self.stream_id))

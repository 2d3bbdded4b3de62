"""A WebSocket on its way through as messages: for clients over HTTP/2, and for middleware that changes messages.

Subprotocols, kinds of messages and close codes are kept; pings are answered on each side by itself.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from vidops.api import Receive, Send
from vidops_plugins.handlers.proxy import heads
from vidops_plugins.handlers.proxy.exchange import Slow
from vidops_plugins.handlers.proxy.wire import Connection, Head

MESSAGE_LIMIT = 1024 * 1024
"""Bytes of one message, as for those that come in."""
PING_EVERY = 20.0
GOING_AWAY, TOO_BIG, BROKEN = 1001, 1009, 1002
_UNSENDABLE = (1005, 1006, 1015)
"""Codes that stand for the lack of one (RFC 6455, 7.4.1)."""


def fresh_key() -> bytes:
    return base64.b64encode(os.urandom(16))


def offer(fields: heads.Fields, key: bytes) -> heads.Fields:
    """The client's handshake, as one of our own: no extensions, since each side has its own frames."""
    ours = (b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions")
    kept = [(n, v) for n, v in fields if n not in ours]
    return [*kept, (b"sec-websocket-key", key), (b"sec-websocket-version", b"13")]


class Relay:
    """Messages between an upstream's connection and one ASGI exchange."""

    def __init__(self, connection: Connection, receive: Receive, send: Send, *, idle: float) -> None:
        self._connection = connection
        self._frames = Frames(ConnectionType.CLIENT)
        self._receive = receive
        self._send = send
        self._idle = idle
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()
        self._closed = False

    async def run(self, head: Head) -> None:
        """Until one side ends."""
        chosen = next((v.decode("latin-1") for n, v in head.headers if n == b"sec-websocket-protocol"), None)
        skipped = (b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions")
        fields = [(n, v) for n, v in heads.end_to_end(head.headers) if n not in skipped]
        await self._send({"type": "websocket.accept", "subprotocol": chosen, "headers": fields})
        ways = [asyncio.create_task(way()) for way in (self._up, self._down, self._ping)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            results = await asyncio.gather(*ways, return_exceptions=True)
            self._write(CloseConnection(code=GOING_AWAY))
            await self._close(GOING_AWAY, "")
        for result in results:
            if isinstance(result, Slow):
                raise result

    async def _up(self) -> None:
        while True:
            message = await self._receive()
            self._last = self._clock()
            if message["type"] == "websocket.disconnect":
                self._closed = True
                code, reason = int(message.get("code") or CloseReason.NO_STATUS_RCVD), message.get("reason") or None
                if code == CloseReason.NO_STATUS_RCVD:
                    self._write(CloseConnection(code=CloseReason.NO_STATUS_RCVD))
                else:
                    self._write(CloseConnection(code=GOING_AWAY if code in _UNSENDABLE else code, reason=reason))
                await self._connection.drained()
                return
            if message.get("text") is not None:
                self._write(TextMessage(data=message["text"]))
            else:
                self._write(BytesMessage(data=message.get("bytes") or b""))
            await self._connection.drained()

    async def _down(self) -> None:
        parts: list[Any] = []
        size = 0
        while data := await self._connection.read():
            self._last = self._clock()
            try:
                self._frames.receive_data(data)
                events = list(self._frames.events())
            except RemoteProtocolError:
                await self._close(BROKEN, "the service behind broke the protocol")
                return
            for event in events:
                if isinstance(event, Message):
                    size += len(event.data)
                    if size > MESSAGE_LIMIT:
                        await self._close(TOO_BIG, "")
                        return
                    parts.append(event.data)
                    if event.message_finished:
                        if isinstance(event, TextMessage):
                            await self._send({"type": "websocket.send", "text": "".join(parts)})
                        else:
                            await self._send({"type": "websocket.send", "bytes": b"".join(parts)})
                        parts, size = [], 0
                elif isinstance(event, Ping):
                    self._write(event.response())
                elif isinstance(event, CloseConnection):
                    self._write(event.response())
                    code = int(event.code or 1000)
                    await self._close(1000 if code in _UNSENDABLE else code, event.reason or "")
                    return

    async def _ping(self) -> None:
        """A dead upstream is noticed; one that lives and says nothing is closed when its time is up."""
        while True:
            await asyncio.sleep(min(PING_EVERY, self._idle))
            if self._clock() - self._last > self._idle:
                raise Slow(f"both sides were silent for {self._idle:g}s")
            self._write(Ping())

    async def _close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _write(self, event: Event) -> None:
        try:
            self._connection.write(self._frames.send(event))
        except LocalProtocolError:
            return  # it is closing already

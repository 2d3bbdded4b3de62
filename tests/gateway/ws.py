"""A WebSocket client on a plain socket, by wsproto."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Message,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)


class Socket:
    """`async with Socket(port, path) as ws`. `status`: of the handshake; `code`: of the end, once it is over."""

    def __init__(self, port: int, path: str, headers: dict[str, str] | None = None) -> None:
        self.port, self.path, self.headers = port, path, headers or {}
        self.status = 0
        self.code: int | None = None
        self.connection = WSConnection(ConnectionType.CLIENT)
        self.events: list[Any] = []

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        extra = [(n.encode(), v.encode()) for n, v in self.headers.items()]
        host = f"127.0.0.1:{self.port}"
        self.writer.write(self.connection.send(Request(host=host, target=self.path, extra_headers=extra)))
        event = await self._event()
        self.status = 101 if isinstance(event, AcceptConnection) else event.status_code
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def _event(self, timeout: float = 10.0) -> Any:
        async with asyncio.timeout(timeout):
            while not self.events:
                data = await self.reader.read(65536)
                self.connection.receive_data(data or None)
                self.events += self.connection.events()
        return self.events.pop(0)

    async def send(self, document: Any) -> None:
        text = document if isinstance(document, str | bytes) else json.dumps(document)
        self.writer.write(self.connection.send(Message(data=text)))
        await self.writer.drain()

    async def get(self, timeout: float = 10.0) -> Any:
        """The next message; None once it is over."""
        text = ""
        while True:
            event = await self._event(timeout)
            if isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    return json.loads(text)
            elif isinstance(event, Ping):
                self.writer.write(self.connection.send(event.response()))
            elif isinstance(event, CloseConnection):
                self.code = event.code
                return None
            elif isinstance(event, RejectConnection):
                return None

    async def ask(self, **request: Any) -> Any:
        """The answer to a request; what comes before it is passed over."""
        await self.send({"id": "q", **request})
        while (answer := await self.get()) is not None and answer.get("id") != "q":
            pass
        return answer

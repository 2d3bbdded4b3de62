"""A service behind a proxy, in bytes: what it got and what it says is what was on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Talk = Callable[["Heard", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@dataclass(slots=True)
class Heard:
    """One request's head. `body` is what was read of it by `take`."""

    first: str
    fields: list[tuple[str, str]]
    connection: int
    body: bytes = b""

    def get(self, name: str) -> str | None:
        return next((v for n, v in self.fields if n.lower() == name), None)

    async def take(self, reader: asyncio.StreamReader) -> bytes:
        """The body, by its framing."""
        if self.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                self.body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readline()
        else:
            self.body = await reader.readexactly(int(self.get("content-length") or 0))
        return self.body


def reply(body: bytes = b"hello", *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def hello(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await heard.take(reader)
    writer.write(reply())


@dataclass
class Service:
    """`talk` answers one request; its connection is kept until it closes the writer."""

    talk: Talk = hello
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    open: set[asyncio.Task[None]] = field(default_factory=set)
    port: int = 0
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, tls: ssl.SSLContext | None = None) -> Service:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def start_unix(self, path: str) -> Service:
        self._server = await asyncio.start_unix_server(self._serve, path)
        return self

    async def stop(self) -> None:
        """Take no more connections, and end those that are open."""
        if self._server is not None:
            self._server.close()
        for task in list(self.open):
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        self.connections += 1
        number = self.connections
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    first, *lines = head.split("\r\n")[:-2]
                    pairs = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
                    heard = Heard(first, pairs, number)
                    self.heard.append(heard)
                    await self.talk(heard, reader, writer)
                    if not writer.is_closing():
                        await writer.drain()
        except asyncio.CancelledError:
            pass
        finally:
            self.open.discard(task)
            writer.close()

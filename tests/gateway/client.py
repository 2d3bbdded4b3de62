"""Bytes in and out of a gateway, as little helped by libraries as possible: what is sent is what is written."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None, limit: int = 1 << 22) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=limit))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self, timeout: float = 10.0) -> Answer:
        """The head of the next answer."""
        async with asyncio.timeout(timeout):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.split("\r\n")[:-2]
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        return Answer(int(first.split()[1]), headers, b"")

    async def answer(self, *, body: bool = True, timeout: float = 10.0) -> Answer:
        head = await self.head(timeout)
        async with asyncio.timeout(timeout):
            if not body or head.status < 200 or head.status in (204, 304):
                data = b""
            elif "content-length" in head.headers:
                data = await self.reader.readexactly(int(head.headers["content-length"]))
            elif head.headers.get("transfer-encoding") == "chunked":
                data = b"".join([chunk async for chunk in self.chunks()])
            else:
                data = await self.reader.read()
        return Answer(head.status, head.headers, data)

    async def chunks(self) -> Any:
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readline()

    async def get(self, path: str, *, method: str = "GET", headers: str = "", body: bytes = b"") -> Answer:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n".encode() + body)
        return await self.answer(body=method != "HEAD")

    async def closed(self, timeout: float = 10.0) -> bytes:
        """Everything until the end of the connection."""
        async with asyncio.timeout(timeout):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


class Viewer(Client):
    """An open stream: `head_` and then part after part."""

    async def watch(self, path: str, headers: str = "") -> Answer:
        self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        self.start = await self.head()
        self.chunked = self.start.headers.get("transfer-encoding") == "chunked"
        self.buffer = b""
        if self.start.status == 200:
            kind = self.start.headers["content-type"]
            self.boundary = b"--" + kind.partition("boundary=")[2].encode()
            assert await self._take(len(self.boundary) + 2) == self.boundary + b"\r\n"
        return self.start

    async def part(self, timeout: float = 10.0) -> tuple[dict[str, str], bytes]:
        """The headers of a part and its body."""
        async with asyncio.timeout(timeout):
            lines = []
            while line := await self._line():
                lines.append(line.decode())
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
            body = await self._take(int(headers["content-length"]))
            assert await self._take(len(self.boundary) + 4) == b"\r\n" + self.boundary + b"\r\n"
            return headers, body

    async def ended(self, timeout: float = 10.0) -> bool:
        """Read parts until the stream ends in good order."""
        async with asyncio.timeout(timeout):
            try:
                while True:
                    await self.part(timeout)
            except (asyncio.IncompleteReadError, ConnectionError):
                return True

    async def _more(self) -> None:
        if not self.chunked:
            data = await self.reader.read(65536)
        else:
            size = int(await self.reader.readline() or b"0", 16)
            data = await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        if not data:
            raise asyncio.IncompleteReadError(self.buffer, None)
        self.buffer += data

    async def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            await self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    async def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            await self._more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line


async def get(port: int, path: str, **options: Any) -> Answer:
    """One request on a connection of its own."""
    async with await Client.connect(port) as client:
        return await client.get(path, **options)

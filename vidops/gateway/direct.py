"""`vidops.asgi.Direct` over a connection's transport: plain HTTP/1.1 alone, where nothing stands between."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from http import HTTPStatus

from vidops.resources.catalogue import Message

NOTSENT_LOWAT = 25
"""TCPNOTSENT_LOWAT (tcp(7), since Linux 3.12); Python names it from 3.13 on."""
UNSENT_LIMIT = 64 * 1024
"""Bytes that the kernel takes beyond what is on its way: the rest waits here, where it can be seen and skipped."""


class TransportStream:
    """One response, written by hand. It ends when the connection does."""

    def __init__(self, transport: asyncio.WriteTransport, http_version: str) -> None:
        self.claimed = False
        self.opened = False
        self.sent = 0
        self._transport = transport
        self._version = http_version

    def claim(self) -> None:
        self.claimed = True

    def open(self, start: Message) -> None:
        """Write the head of an `http.response.start`."""
        status = int(start["status"])
        lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
        for name, value in start.get("headers", ()):
            if any(byte in name + value for byte in (b"\r", b"\n", b"\0")):
                raise ValueError(f"header {name!r} holds a line break")
            if name.lower() not in (b"connection", b"content-length", b"transfer-encoding"):
                lines.append(bytes(name) + b": " + bytes(value))
        lines += [b"connection: close", b"", b""]
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # a unix socket has no such option
            sock.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, UNSENT_LIMIT)
        self._transport.write(b"\r\n".join(lines))
        self.opened = True

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
            self.sent += len(data)

    @property
    def pending(self) -> int:
        return self._transport.get_write_buffer_size()

    def close(self) -> None:
        """End the response once the kernel has taken what is pending."""
        if not self._transport.is_closing():
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

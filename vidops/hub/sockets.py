"""Unix sockets: listening, and who is at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable

LINGER = 5.0
"""Seconds that a reader has to take what was written before its connection ended."""


async def listen(path: str, make: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    """Serve at `path` (0600), in place of whatever a dead hub left there. Raises `OSError`."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = f"{path}.{os.getpid()}"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        mask = os.umask(0o177)
        try:
            listener.bind(temporary)
        finally:
            os.umask(mask)
        listener.listen(128)
        listener.setblocking(False)
        server = await asyncio.get_running_loop().create_unix_server(make, sock=listener)
        # Under its name only once it listens: who finds it is not refused.
        os.rename(temporary, path)
    except BaseException:
        listener.close()
        raise
    return server


def unlisten(server: asyncio.Server, path: str) -> None:
    server.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def finish(transport: asyncio.Transport) -> None:
    """Close once everything is read, or in `LINGER` seconds."""
    transport.close()
    asyncio.get_running_loop().call_later(LINGER, transport.abort)


def peer_pid(transport: asyncio.BaseTransport) -> int:
    """The process that connected (unix(7), SO_PEERCRED)."""
    channel = transport.get_extra_info("socket")
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[0])

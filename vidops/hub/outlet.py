"""Where every frame can be had: `out/<camera>.sock`, a live Matroska stream (`runtime.matroska`)."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

from vidops.hub.camera import Camera, Recorded
from vidops.runtime.matroska import head


class Outlet(asyncio.Protocol):
    """One reader of every frame: a recorder, a loopback node. It loses frames only beyond `max_backlog` bytes."""

    viewers = 1

    def __init__(self, camera: Camera, max_backlog: int) -> None:
        self.camera = camera
        self.max_backlog = max_backlog
        self.transport: asyncio.Transport | None = None
        self.pid = 0
        self.size = (0, 0)
        self.frames = 0
        self.lost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.pid = peer_pid(transport)
        self.camera.add(self)

    def take(self, item: Recorded) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        size = (item.width, item.height)
        if self.size != size:
            if self.frames:
                # A stream has one picture size. Its reader starts again, and gets the new one.
                transport.close()
                return
            self.size = size
            transport.write(head(*size))
        if transport.get_write_buffer_size() + len(item.frame.data) > self.max_backlog:
            self.lost += 1
            return
        transport.writelines((item.head, item.frame.data))
        self.frames += 1

    def state_changed(self, state: dict[str, Any]) -> None:
        """Nothing: the stream waits, whatever the source does."""

    def gone(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.camera.discard(self)

    def status(self) -> dict[str, Any]:
        backlog = self.transport.get_write_buffer_size() if self.transport else 0
        return {
            "camera": self.camera.name,
            "pid": self.pid,
            "every": True,
            "frames": self.frames,
            "backlog": backlog,
            "lost": self.lost,
        }


def peer_pid(transport: asyncio.BaseTransport) -> int:
    """Who is at the other end of a unix socket (unix(7), SO_PEERCRED)."""
    channel = transport.get_extra_info("socket")
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[0])

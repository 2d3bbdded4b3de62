"""Where every frame can be had: `out/<camera>.sock`, a live Matroska stream (`runtime.matroska`)."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from vidops.hub.camera import Camera, Recorded
from vidops.hub.shape import Pacer
from vidops.hub.sockets import finish, peer_pid
from vidops.runtime.matroska import head


class Outlet(asyncio.Protocol):
    """One reader of every frame: a recorder, a loopback node. It loses frames only beyond `max_backlog` bytes, and
    then all up to the next key frame.

    Frames are queued by reference: ten readers that are behind cost the memory of one. Its stream begins with a key
    frame: with the newest one and all that came since, which are there already, so that nobody waits for the next.
    """

    def __init__(self, camera: Camera, max_backlog: int, *, viewers: int = 1, pacer: Pacer | None = None) -> None:
        self.viewers = viewers
        self._pacer = pacer
        self._camera = camera
        self._max_backlog = max_backlog
        self._transport: asyncio.Transport | None = None
        self._pid = 0
        self._epoch = -1
        self._broken = True
        self._frames = 0
        self._lost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._pid = peer_pid(transport)
        group = tuple(self._camera.group)
        self._camera.add(self)
        for item in group:
            self.take(item)

    def take(self, item: Recorded) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._broken and not item.key:
            self._lost += self._epoch >= 0
            return
        if self._epoch != item.epoch:
            if self._epoch >= 0:
                # A stream has one picture size and one clock. Its reader starts again, and gets the new ones.
                finish(transport)
                return
            self._epoch = item.epoch
            transport.write(head(item.track))
        if self._pacer is not None and not self._pacer.takes(item.time):
            return
        pending = transport.get_write_buffer_size()
        if pending and pending + len(item.data) > self._max_backlog:
            self._lost += 1
            self._broken = True
            return
        self._broken = False
        transport.writelines((item.cluster, item.data))
        self._frames += 1

    def state_changed(self, state: dict[str, Any]) -> None:
        """Nothing: the stream waits, whatever the source does."""

    def gone(self) -> None:
        if self._transport is not None:
            finish(self._transport)

    def again(self) -> None:
        self.gone()

    def connection_lost(self, exc: Exception | None) -> None:
        self._camera.discard(self)

    def status(self) -> dict[str, Any]:
        return {
            "camera": self._camera.name,
            "pid": self._pid,
            "every": True,
            "frames": self._frames,
            "backlog": self._transport.get_write_buffer_size() if self._transport else 0,
            "lost": self._lost,
        }

"""Who looks at what a camera delivers, in its own codec, live: a gateway that has viewers of it."""

from __future__ import annotations

import asyncio
from typing import Any

from vidops.hub.camera import Camera, Recorded
from vidops.hub.sockets import finish
from vidops.runtime.hubwire import GONE, STATE, TRACK, encode_line, message_head
from vidops.runtime.matroska import Track

BACKLOG = 16 * 1024 * 1024
"""Bytes that it may be behind; then it goes on at the next key frame."""


class PacketSubscriber:
    """Writes to a session's transport (`camera.Consumer`). It begins with the newest key frame."""

    def __init__(self, camera: Camera, transport: asyncio.Transport, pid: int) -> None:
        self.viewers = 1
        self._camera = camera
        self._transport = transport
        self._pid = pid
        self._track: Track | None = None
        self._broken = True
        self._frames = 0
        self._lost = 0

    def begin(self) -> None:
        """Have it told the camera's state, then everything that comes."""
        latest = self._camera.latest
        group = tuple(self._camera.group) or ((latest,) if latest is not None else ())
        self._camera.add(self)
        self.state_changed(self._camera.state())
        for item in group:
            self.take(item)

    def end(self) -> None:
        """Its connection is gone."""
        self._camera.discard(self)

    def count(self, viewers: int) -> None:
        self.viewers = viewers
        self._camera.recounted()

    def take(self, item: Recorded) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        pending = transport.get_write_buffer_size()
        if (self._broken and not item.key) or (pending and pending + len(item.data) > BACKLOG):
            self._broken = True
            self._lost += self._track is not None
            return
        self._broken = False
        if item.track != self._track:
            track = self._track = item.track
            told = {"codec": track.codec, "width": track.width, "height": track.height, "private": track.private.hex()}
            payload = encode_line(told)
            transport.write(message_head(TRACK, len(payload)) + payload)
        transport.writelines((item.message, item.data))
        self._frames += 1

    def state_changed(self, state: dict[str, Any]) -> None:
        if not self._transport.is_closing():
            payload = encode_line(state)
            self._transport.write(message_head(STATE, len(payload)) + payload)

    def gone(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(message_head(GONE, 0))
            finish(self._transport)

    def again(self) -> None:
        finish(self._transport)

    def pause(self) -> None:
        """Nothing: what it may be behind is counted in bytes."""

    def resume(self) -> None:
        """Nothing, as well."""

    def status(self) -> dict[str, Any]:
        return {
            "camera": self._camera.name,
            "pid": self._pid,
            "every": False,
            "frames": self._frames,
            "backlog": self._transport.get_write_buffer_size(),
            "lost": self._lost,
        }

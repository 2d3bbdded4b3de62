"""One who wants to see what is now: the newest frame, whenever it can take one."""

from __future__ import annotations

import asyncio
from typing import Any

from vidops.hub.camera import JPEG, Camera, Recorded
from vidops.hub.shape import Pacer
from vidops.hub.sockets import finish
from vidops.runtime.hubwire import GONE, STATE, encode_line, message_head


class Subscriber:
    """Writes to a session's transport (`camera.Consumer`). What waits for it is one frame and one state at most."""

    def __init__(self, camera: Camera, transport: asyncio.Transport, pid: int, pacer: Pacer) -> None:
        self._pacer = pacer
        self.viewers = 1
        self._camera = camera
        self._transport = transport
        self._pid = pid
        self._paused = False
        self._frame: Recorded | None = None
        self._state: dict[str, Any] | None = None
        self._frames = 0
        self._lost = 0

    def begin(self) -> None:
        """Have it told the camera's state, then everything that comes."""
        # From here on "paused" means that something of what was written last has not gone out.
        self._transport.set_write_buffer_limits(high=0)
        latest = self._camera.latest
        self._camera.add(self)
        self.state_changed(self._camera.state())
        if latest is not None:
            self.take(latest)

    def end(self) -> None:
        """Its connection is gone."""
        self._camera.discard(self)

    def count(self, viewers: int) -> None:
        self.viewers = viewers
        self._camera.recounted()

    def _send(self, item: Recorded) -> None:
        if self._paused:
            self._lost += self._frame is not None
            self._frame = item
        elif not self._transport.is_closing():
            self._transport.writelines((item.message, item.data))
            self._frames += 1

    def take(self, item: Recorded) -> None:
        if item.track.codec != JPEG:
            # It has asked for JPEGs before the camera's codec was known: it comes again, and gets them.
            self.again()
        elif self._pacer.takes(item.time):
            self._send(item)

    def state_changed(self, state: dict[str, Any]) -> None:
        if self._paused:
            self._state = state
        elif not self._transport.is_closing():
            payload = encode_line(state)
            self._transport.write(message_head(STATE, len(payload)) + payload)

    def gone(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(message_head(GONE, 0))
            finish(self._transport)

    def again(self) -> None:
        finish(self._transport)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        state, self._state = self._state, None
        frame, self._frame = self._frame, None
        if state is not None:
            self.state_changed(state)
        if frame is not None:
            # Kept again where the state alone filled the buffer.
            self._send(frame)

    def status(self) -> dict[str, Any]:
        return {
            "camera": self._camera.name,
            "pid": self._pid,
            "every": False,
            "frames": self._frames,
            "backlog": self._transport.get_write_buffer_size(),
            "lost": self._lost,
        }

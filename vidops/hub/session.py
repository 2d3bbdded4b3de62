"""A connection to `hub.sock`: requests one after the other, or a subscription to one camera, or a watch on all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from vidops.hub.camera import Camera, Recorded
from vidops.hub.outlet import peer_pid
from vidops.runtime.hubwire import FRAME, GONE, LINE_LIMIT, STATE, WireError, decode_line, encode_line, message_head

if TYPE_CHECKING:
    from vidops.hub.server import Hub

log = logging.getLogger("vidops.hub")

WATCH_BACKLOG = 8 * 1024 * 1024
"""Bytes that a watcher may be behind before it is cut off; it then begins with a new snapshot."""


class Session(asyncio.Protocol):
    """Speaks lines until it subscribes. As a subscriber it always gets the newest frame once it can take one."""

    viewers = 1

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.transport: asyncio.Transport | None = None
        self.camera: Camera | None = None
        self.frames = 0
        self.lost = 0
        self.pid = 0
        self._buffer = bytearray()
        self._requests: deque[bytes] = deque()
        self._working: asyncio.Task[None] | None = None
        self._blocked = False
        self._pending: Recorded | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.pid = peer_pid(transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > LINE_LIMIT or len(self._requests) > 1000:
            self._abort()
            return
        self._requests.extend(map(bytes, lines))
        if self._working is None and self._requests:
            self._working = asyncio.get_running_loop().create_task(self._work(), name="hub session")

    async def _work(self) -> None:
        try:
            while self._requests:
                try:
                    answer = await self._answer(decode_line(self._requests.popleft()))
                except (WireError, ValueError, TypeError, LookupError) as error:
                    answer = {"ok": False, "reason": "BadRequest", "error": str(error)}
                if answer and self.transport is not None and not self.transport.is_closing():
                    self.transport.write(encode_line(answer))
        finally:
            self._working = None

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.camera is not None:
            # A subscriber has one thing to say: how many look at what it passes on.
            self.viewers = max(0, int(request["viewers"]))
            self.hub.changed(self.camera)
            return {}
        match request.get("op"):
            case "status":
                return {"ok": True, **self.hub.status()}
            case "apply":
                self.hub.apply(dict(request["camera"]))
                return {"ok": True}
            case "remove":
                await self.hub.remove(str(request["name"]))
                return {"ok": True}
            case "watch":
                self.hub.watchers.add(self)
                return {"ok": True, "cameras": [c.state() for c in self.hub.cameras.values()]}
            case "subscribe":
                return self._subscribe(str(request["camera"]))
            case other:
                raise WireError(f"unknown op {other!r}")

    def _subscribe(self, name: str) -> dict[str, Any]:
        camera = self.hub.cameras.get(name)
        if camera is None:
            return {"ok": False, "reason": "UnknownCamera", "error": f"there is no camera {name!r}"}
        assert self.transport is not None
        # From now on "can take one" means that nothing of the last one is left here.
        self.transport.set_write_buffer_limits(high=0)
        self.transport.write(encode_line({"ok": True}))
        self.camera = camera
        camera.add(self)
        self.state_changed(camera.state())
        return {}

    # -- as a subscriber (camera.Consumer) ---------------------------------------------------------------------

    def take(self, item: Recorded) -> None:
        if self._blocked:
            if self._pending is not None:
                self.lost += 1
            self._pending = item
            return
        self._send(item)

    def _send(self, item: Recorded) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        frame = item.frame
        transport.writelines((message_head(FRAME, len(frame.data), frame.sequence, frame.timestamp), frame.data))
        self.frames += 1

    def state_changed(self, state: dict[str, Any]) -> None:
        if self.transport is not None and not self.transport.is_closing():
            payload = json.dumps(state).encode()
            self.transport.write(message_head(STATE, len(payload)) + payload)

    def gone(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(message_head(GONE, 0))
            self.transport.close()

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        item, self._pending = self._pending, None
        if item is not None:
            self._send(item)

    # -- as a watcher ------------------------------------------------------------------------------------------

    def tell(self, news: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > WATCH_BACKLOG:
            self._abort()
            return
        self.transport.write(news)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.hub.watchers.discard(self)
        if self.camera is not None:
            self.camera.discard(self)
        self._requests.clear()

    def status(self) -> dict[str, Any]:
        return {
            "camera": self.camera.name if self.camera else "",
            "pid": self.pid,
            "every": False,
            "frames": self.frames,
            "backlog": self.transport.get_write_buffer_size() if self.transport else 0,
            "lost": self.lost,
        }

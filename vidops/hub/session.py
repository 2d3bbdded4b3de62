"""A connection to `hub.sock`: requests one after the other, or a subscription to one camera, or a watch on all.

{"op": "apply", "camera": {...}}        see `hub.document`
{"op": "remove", "name": NAME}          answered when its source is gone
{"op": "status"}                        {"ok": true, "cameras": [...], "consumers": [...], "hub": {...}}
{"op": "watch"}                         {"ok": true, "cameras": [...]}, then {"camera": {...}} or {"removed": NAME}
{"op": "subscribe", "camera": NAME}     {"ok": true}, then messages (`runtime.hubwire`): JPEGs, of every camera
    "width": PIXELS, "fps": RATE        no wider than that, no more a second; see `hub.derived`
    "packets": true                     its own codec's frames from a key frame on, instead
{"op": "controls", "camera": NAME}      {"ok": true, "device": PATH, "controls": [...], "modes": [...]}
{"op": "set_controls", "camera": NAME, "values": {CONTROL: VALUE}}   the same, as they are then
{"op": "hold", "camera": NAME, "on": BOOL}   {"ok": true, "camera": {...}}: it stays open without consumers, or not
{"viewers": N}                          after subscribing: how many look at what is passed on; no answer
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from vidops.errors import PermanentError, VidopsError
from vidops.hub.camera import JPEG, Camera
from vidops.hub.packets import PacketSubscriber
from vidops.hub.shape import Pacer, Shape, parse_shape
from vidops.hub.sockets import peer_pid
from vidops.hub.subscriber import Subscriber
from vidops.runtime.hubwire import LineReader, WireError, decode_line, encode_line

if TYPE_CHECKING:
    from vidops.hub.server import Hub

WATCH_BACKLOG = 8 * 1024 * 1024
"""Bytes that a watcher may be behind before it is cut off; it then begins with a new snapshot."""
PIPELINE = 100
"""Requests that may wait on one connection."""
MOST_VIEWERS = 1_000_000
MOST_CONTROLS, LONGEST_VALUE = 200, 64


class Session(asyncio.Protocol):
    """Speaks lines; what it becomes, the first requests say."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._subscriber: Subscriber | PacketSubscriber | None = None
        self._lines = LineReader()
        self._requests: deque[bytes] = deque()
        self._working = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            self._lines.feed(data)
            while (line := self._lines.next()) is not None:
                if len(self._requests) >= PIPELINE:
                    raise WireError("too many requests at once")
                self._requests.append(line)
        except WireError as error:
            self._refuse(error)
            return
        if self._requests and not self._working:
            self._working = True
            self._hub.tasks.start(self._work(), "hub session")

    def _refuse(self, error: WireError) -> None:
        if self._subscriber is None:
            self._write({"ok": False, "reason": "BadRequest", "error": str(error)})
        if self._transport is not None:
            self._transport.close()

    async def _work(self) -> None:
        try:
            while self._requests:
                line = self._requests.popleft()
                if self._subscriber is not None:
                    self._count_viewers(line)
                else:
                    self._write(await self._answer(line))
        except WireError as error:
            self._refuse(error)
        except BaseException:
            # Who waits for an answer that will not come is told by the end of the connection.
            if self._transport is not None:
                self._transport.abort()
            raise
        finally:
            self._working = False

    def _write(self, answer: dict[str, Any] | None) -> None:
        if answer is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode_line(answer))

    async def _answer(self, line: bytes) -> dict[str, Any] | None:
        try:
            return await self._serve(decode_line(line))
        except (WireError, ValueError) as error:
            return {"ok": False, "reason": "BadRequest", "error": str(error)}
        except VidopsError as error:
            return {"ok": False, "reason": getattr(error, "reason", "Error"), "error": str(error)}

    async def _serve(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None where it has been sent."""
        hub = self._hub
        match request:
            case {"op": "status"}:
                return {"ok": True, **hub.status()}
            case {"op": "apply", "camera": dict(camera)}:
                await hub.apply(camera)
                return {"ok": True}
            case {"op": "remove", "name": str(name)}:
                await hub.remove(name)
                return {"ok": True}
            case {"op": "watch"}:
                hub.watchers.add(self)
                return {"ok": True, "cameras": [c.state() for _, c in sorted(hub.cameras.items())]}
            case {"op": "controls", "camera": str(name)}:
                return {"ok": True, **await self._camera(name).controls.told()}
            case {"op": "set_controls", "camera": str(name), "values": dict(values)} if _are_values(values):
                controls = self._camera(name).controls
                await controls.set(values)
                return {"ok": True, **await controls.told()}
            case {"op": "hold", "camera": str(name), "on": bool(on)}:
                return {"ok": True, "camera": self._hold(self._camera(name), on=on)}
            case {"op": "subscribe", "camera": str(name)}:
                shape = parse_shape(request.get("width"), request.get("fps"))
                return await self._subscribe(name, shape, packets=request.get("packets") is True)
            case _:
                raise WireError(f"no such request: op {str(request.get('op'))[:50]!r}, or a part of it is missing")

    def _camera(self, name: str) -> Camera:
        camera = self._hub.cameras.get(name)
        if camera is None:
            raise PermanentError(f"there is no camera {name[:50]!r}", reason="UnknownCamera")
        return camera

    @staticmethod
    def _hold(camera: Camera, *, on: bool) -> dict[str, Any]:
        if not on and camera.source.rules.close_after is None:
            raise PermanentError(f"camera {camera.name} is always on: the stack file says so", reason="AlwaysOn")
        camera.hold(on=on)
        return camera.state()

    async def _subscribe(self, name: str, shape: Shape, *, packets: bool) -> dict[str, Any] | None:
        camera = self._camera(name)
        track = camera.track
        if track is not None and shape.width >= track.width:
            shape = Shape(0, shape.fps)
        if not packets and (shape.width or (track is not None and track.codec != JPEG)):
            camera = await self._hub.derived.get(camera, shape)
            shape = Shape()
        transport = self._transport
        if transport is None or transport.is_closing():
            return None
        self._write({"ok": True})
        pid = peer_pid(transport)
        if packets:
            self._subscriber = PacketSubscriber(camera, transport, pid)
        else:
            self._subscriber = Subscriber(camera, transport, pid, Pacer(shape.fps))
        self._subscriber.begin()
        return None

    def _count_viewers(self, line: bytes) -> None:
        match decode_line(line):
            case {"viewers": int(count)} if 0 <= count <= MOST_VIEWERS:
                if self._subscriber is not None:
                    self._subscriber.count(count)
            case _:
                raise WireError("a subscriber only says how many viewers it has")

    def pause_writing(self) -> None:
        if self._subscriber is not None:
            self._subscriber.pause()

    def resume_writing(self) -> None:
        if self._subscriber is not None:
            self._subscriber.resume()

    def tell(self, news: bytes) -> None:
        """As a watcher: what changed."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > WATCH_BACKLOG:
            self._transport.abort()
            return
        self._transport.write(news)

    def connection_lost(self, exc: Exception | None) -> None:
        self._requests.clear()
        self._hub.watchers.discard(self)
        if self._subscriber is not None:
            self._subscriber.end()


def _are_values(values: dict[str, Any]) -> bool:
    return 0 < len(values) <= MOST_CONTROLS and all(
        isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= LONGEST_VALUE)
        for value in values.values()
    )

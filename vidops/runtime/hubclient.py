"""The hub's client, for gateways and the control plane: `ports.Cameras`, and the hub's control side.

Two ways to frames, over one connection a camera and process:

* `frames(camera)`, an async generator: for few viewers, or where comfort counts.
* `subscribe(camera, on_frame)`, a callback: for hot paths. Every new frame is one call with one shared `Frame`,
  in the event loop, from which a server can write to hundreds of transports without a task a viewer:

      def on_frame(frame: Frame) -> None:
          part = head(frame) + frame.data                # once a frame, shared by all viewers
          for transport in viewers:
              if transport.get_write_buffer_size() == 0:  # a slow viewer skips to the newest
                  transport.write(part)

      subscription = client.subscribe("door", on_frame)
      subscription.viewers = len(viewers)                 # what the camera's state tells
      ...
      subscription.close()                                # the camera closes after its last one

Everything survives a restart of the hub or of a source: the client connects again, viewers wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Self

from vidops.errors import PermanentError, TemporaryError
from vidops.ports import Frame
from vidops.resources.layout import Layout
from vidops.runtime.hubfeed import Feed, OnFrame, OnGone, OnPacket, OnState, State, Subscription
from vidops.runtime.hubslot import Slot
from vidops.runtime.hubwatch import Watch
from vidops.runtime.hubwire import LINE_LIMIT, WireError, decode_line, encode_line
from vidops.runtime.tasks import Tasks

ANSWER_TIMEOUT = 5.0
"""Seconds for what the hub answers at once."""
DEVICE_TIMEOUT = 10.0
"""Seconds for what a device is asked."""
FINAL = ("UnknownCamera", "BadRequest", "NoControls", "ControlRefused", "AlwaysOn")
"""Reasons of refusals that another try does not change."""
REMOVE_TIMEOUT = 30.0
"""Seconds; a removal is answered when the source's process is gone, which may take a kill."""


class HubClient:
    """`ports.Cameras` and `reconcile.host.HubControl`. It belongs to one event loop: `start()` it, `close()` it."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.hub_socket
        self._watch = Watch(self._path)
        self._feeds: dict[tuple[object, ...], Feed] = {}
        self._tasks = Tasks()

    async def start(self) -> None:
        """Begin to watch the hub in the background. Returns at once, whether there is a hub or not yet."""
        self._tasks.start(self._watch.run(), "watch the hub")

    async def close(self) -> None:
        """End everything: generators end, subscriptions get `on_gone`."""
        for feed in list(self._feeds.values()):
            feed.gone()
        await self._tasks.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- what there is -----------------------------------------------------------------------------------------

    @property
    def connected(self) -> asyncio.Event:
        """Set while the hub answers; while it is not, `states` is what the hub said last."""
        return self._watch.connected

    async def ready(self, timeout: float) -> bool:
        """Wait until the hub answers; whether it did within `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.connected.wait()
        return self.connected.is_set()

    def states(self) -> Sequence[State]:
        """Last known state of every camera, by name order."""
        return [state for _, state in sorted(self._watch.cameras.items())]

    def state(self, camera: str) -> State | None:
        return self._watch.cameras.get(camera)

    def knows(self, camera: str) -> bool:
        return camera in self._watch.cameras

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a camera's state changed, in the event loop."""
        self._watch.listeners.append(listener)

    def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        """{"camera": state} for every camera now and at each change, {"removed": name}; for ever.

        A slow reader gets the newest change of each camera, so that what waits for it is bounded.
        """
        return self._watch.changes()

    # -- a camera's device --------------------------------------------------------------------------------------

    async def controls(self, camera: str) -> Mapping[str, Any]:
        """See `ports.Cameras.controls`."""
        return _told(await self._request({"op": "controls", "camera": camera}, DEVICE_TIMEOUT))

    async def set_controls(self, camera: str, values: Mapping[str, bool | int | str]) -> Mapping[str, Any]:
        """See `ports.Cameras.set_controls`."""
        request = {"op": "set_controls", "camera": camera, "values": dict(values)}
        return _told(await self._request(request, DEVICE_TIMEOUT))

    async def hold(self, camera: str, *, on: bool) -> Mapping[str, Any]:
        """See `ports.Cameras.hold`."""
        state: Mapping[str, Any] = (await self._request({"op": "hold", "camera": camera, "on": on}, ANSWER_TIMEOUT))[
            "camera"
        ]
        return state

    # -- the hub's control side --------------------------------------------------------------------------------

    async def apply(self, camera: Mapping[str, Any]) -> None:
        """Make a camera known, or change it. Raises `PermanentError` where the hub does not take it.

        Where its source's program is another or none now, returns when the old one is gone.
        """
        await self._request({"op": "apply", "camera": camera}, REMOVE_TIMEOUT)

    async def remove(self, name: str) -> None:
        """Forget a camera; returns when its source is gone. Not known is fine."""
        await self._request({"op": "remove", "name": name}, REMOVE_TIMEOUT)

    async def status(self) -> dict[str, Any]:
        """{"cameras": [state], "consumers": [{"camera", "pid", "every", "frames", "backlog", "lost"}], "hub": {...}}"""
        return await self._request({"op": "status"}, ANSWER_TIMEOUT)

    async def _request(self, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout):
                answer = await self._exchange(request)
        except TimeoutError:
            raise TemporaryError(
                f"the hub did not answer {request['op']} within {timeout:g}s", reason="HubBusy"
            ) from None
        except (OSError, WireError) as error:
            raise TemporaryError(f"no hub answers at {self._path}: {error}", reason="HubDown") from None
        if answer.get("ok"):
            return answer
        reason, text = str(answer.get("reason") or "Error"), str(answer.get("error") or "the hub refused")
        if reason in FINAL:
            raise PermanentError(text, reason=reason)
        raise TemporaryError(text, reason=reason)

    async def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
        try:
            writer.write(encode_line(request))
            answer = await reader.readline()
        except ValueError as error:
            raise WireError(str(error)) from None
        finally:
            writer.close()
        if not answer.endswith(b"\n"):
            raise WireError("it closed the connection without an answer")
        return decode_line(answer)

    # -- frames ------------------------------------------------------------------------------------------------

    def subscribe(
        self,
        camera: str,
        on_frame: OnFrame,
        on_state: OnState | None = None,
        on_gone: OnGone | None = None,
        *,
        fps: float | None = None,
        width: int | None = None,
    ) -> Subscription:
        """Have `on_frame` called with every new frame, in the event loop, until `close()` of what is returned.

        `on_state`: called with the camera's state now and at each change of it (Failed, Online again ...).
        `on_gone`: called once where there will be no more frames though nobody closed: the camera was removed, or
        the client closed, or there is no such camera (then `subscription.unknown`). Callbacks must not block; one
        that raises is logged, and its subscription closed.

        The first calls come after this has returned. One that joins others is given the newest frame at once. The
        camera is started where it is on demand. Restarts of the hub or the source show as a pause.

        `fps`, `width`: see `ports.Cameras.frames`. A stream that the hub refuses has a state that is Failed.
        """
        shape = {name: value for name, value in (("fps", fps), ("width", width)) if value is not None}
        return self._join(Feed(self._path, camera, self._feed_ended, shape), on_frame, on_state, on_gone)

    def subscribe_packets(
        self, camera: str, on_packet: OnPacket, on_state: OnState | None = None, on_gone: OnGone | None = None
    ) -> Subscription:
        """See `ports.Cameras.subscribe_packets`."""
        return self._join(Feed(self._path, camera, self._feed_ended, {"packets": True}), on_packet, on_state, on_gone)

    def _join(
        self, feed: Feed, on_frame: OnFrame | OnPacket, on_state: OnState | None, on_gone: OnGone | None
    ) -> Subscription:
        """Take from the one connection that has this, or make it."""
        known = self._feeds.setdefault(feed.key, feed)
        subscription = known.add(on_frame, on_state, on_gone)
        if known is feed:
            self._tasks.start(feed.run(), f"feed of {feed.camera}")
        return subscription

    def _feed_ended(self, feed: Feed) -> None:
        if self._feeds.get(feed.key) is feed:
            del self._feeds[feed.key]

    async def frames(
        self, camera: str, *, fps: float | None = None, width: int | None = None
    ) -> AsyncGenerator[Frame, None]:
        """See `ports.Cameras.frames`. Ends when the camera is removed.

        A viewer that never got a frame is told why (`TemporaryError`) as soon as the camera fails; one that did
        waits through restarts as long as the camera exists.
        """
        slot = Slot(camera)
        subscription = self.subscribe(camera, slot.on_frame, slot.on_state, slot.on_gone, fps=fps, width=width)
        try:
            frame = await slot.first()
            if frame is None and subscription.unknown:
                raise PermanentError(f"there is no camera {camera}", reason="UnknownCamera")
            while frame is not None:
                yield frame
                frame = await slot.next()
        finally:
            subscription.close()

    async def snapshot(self, camera: str, timeout: float = 10.0, max_age: float = 0.0) -> Frame:
        """See `ports.Cameras.snapshot`. Raises `TemporaryError` where there is none within `timeout` seconds."""
        called = time.time()
        try:
            async with asyncio.timeout(timeout), contextlib.aclosing(self.frames(camera)) as frames:
                async for frame in frames:
                    if frame.timestamp > called - max_age:
                        return frame
        except TimeoutError:
            said = str((self.state(camera) or {}).get("message") or "")
            text = f"camera {camera}: no frame within {timeout:g}s" + (f": {said}" if said else "")
            raise TemporaryError(text, reason="Timeout") from None
        raise TemporaryError(f"camera {camera} was removed", reason="Removed")


def _told(answer: dict[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in answer.items() if key != "ok"}

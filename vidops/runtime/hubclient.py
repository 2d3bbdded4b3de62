"""The hub's client: cameras as gateways and the reconciler see them (`ports.Cameras`).

One watch connection keeps every camera's state; one subscription a camera and process brings its frames, however
many viewers there are. Both come back by themselves when the hub does, and viewers notice nothing but a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from vidops.errors import PermanentError, TemporaryError
from vidops.ports import Frame
from vidops.resources.layout import Layout
from vidops.runtime.hubwire import FRAME, GONE, LINE_LIMIT, STATE, MessageParser, WireError, line, parse_line

log = logging.getLogger("vidops.hubclient")

RECONNECT_FIRST, RECONNECT_CAP = 0.02, 0.5
FAILED = ("Failed", "Missing")
READ = 256 * 1024

OnFrame = Callable[[Frame], None]
OnState = Callable[[Mapping[str, Any]], None]


class HubClient:
    """Use `start()` and `close()` around it. Every method belongs to one event loop."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.hub_socket
        self._states: dict[str, Mapping[str, Any]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._feeds: dict[str, _Feed] = {}
        self._watching: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        """Set while the hub answers and `states` is fresh."""

    async def start(self) -> None:
        """Begin to watch; does not wait for the hub."""
        self._watching = asyncio.create_task(self._watch(), name="hub watch")

    async def close(self) -> None:
        feeds = list(self._feeds.values())
        self._feeds.clear()
        for feed in feeds:
            await feed.close()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    # -- ports.Cameras -----------------------------------------------------------------------------------------

    def states(self) -> Sequence[Mapping[str, object]]:
        return [state for _, state in sorted(self._states.items())]

    def knows(self, camera: str) -> bool:
        return camera in self._states

    async def frames(self, camera: str) -> AsyncIterator[Frame]:
        """See `ports.Cameras.frames`."""
        mailbox = _Mailbox()
        subscription = self.subscribe(camera, mailbox.frame, mailbox.state, mailbox.end)
        try:
            while True:
                frame = await mailbox.next()
                if frame is None:
                    return
                yield frame
        finally:
            subscription.close()

    async def snapshot(self, camera: str, timeout: float = 10.0) -> Frame:
        stream = self.frames(camera)
        try:
            async with asyncio.timeout(timeout):
                async for frame in stream:
                    return frame
        except TimeoutError:
            raise TemporaryError(f"no frame of {camera} within {timeout:g}s", reason="SnapshotTimeout") from None
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        raise TemporaryError(f"the camera {camera} was removed", reason="Removed")

    def subscribe(
        self,
        camera: str,
        on_frame: OnFrame,
        on_state: OnState = lambda _: None,
        on_gone: Callable[[], None] = lambda: None,
    ) -> Subscription:
        """Every new frame that this process gets of a camera, each object once, shared by all who subscribe.

        The callbacks run on the loop and must not block; the newest frame comes when the hub has it, so a frame
        that they are slow for is skipped for all of this process. `on_state` gets the camera's state when it
        changes; `on_gone` is called once, when the camera is removed or unknown. While hub or source restart,
        nothing is called.
        """
        feed = self._feeds.get(camera)
        if feed is None or feed.ended:
            feed = self._feeds[camera] = _Feed(self._path, camera, self._forget)
        return feed.add(on_frame, on_state, on_gone)

    def _forget(self, feed: _Feed) -> None:
        if self._feeds.get(feed.camera) is feed:
            del self._feeds[feed.camera]

    # -- control -----------------------------------------------------------------------------------------------

    async def apply(self, camera: Mapping[str, Any]) -> None:
        """Tell the hub of a camera. Raises `TemporaryError` where it does not answer, `PermanentError` for its no."""
        await self._request({"op": "apply", "camera": camera})

    async def remove(self, name: str) -> None:
        """Returns when its source is gone."""
        await self._request({"op": "remove", "name": name}, timeout=30.0)
        self._states.pop(name, None)

    async def status(self) -> dict[str, Any]:
        """Cameras, consumers (pid, frames, backlog, lost) and the hub itself."""
        return await self._request({"op": "status"})

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a camera's state changed."""
        self._listeners.append(listener)

    async def _request(self, request: Mapping[str, Any], timeout: float = 5.0) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
                try:
                    writer.write(line(request))
                    answer = parse_line(await reader.readline())
                finally:
                    writer.close()
        except TimeoutError:
            raise TemporaryError(f"the hub did not answer within {timeout:g}s", reason="HubBusy") from None
        except (OSError, ValueError, WireError) as error:
            raise TemporaryError(f"no hub answers at {self._path}: {error}", reason="HubDown") from None
        if not answer.get("ok"):
            raise PermanentError(str(answer.get("error")), reason=str(answer.get("reason")))
        return answer

    async def _watch(self) -> None:
        pause = RECONNECT_FIRST
        while True:
            with contextlib.suppress(OSError, ValueError, WireError):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
                try:
                    writer.write(line({"op": "watch"}))
                    first = parse_line(await reader.readline())
                    self._states = {str(c["name"]): c for c in first.get("cameras", ())}
                    self.connected.set()
                    pause = RECONNECT_FIRST
                    self._changed()
                    while data := await reader.readline():
                        self._news(parse_line(data))
                finally:
                    writer.close()
                    self.connected.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_CAP)

    def _news(self, news: Mapping[str, Any]) -> None:
        if "camera" in news:
            self._states[str(news["camera"]["name"])] = news["camera"]
        elif "removed" in news:
            self._states.pop(str(news["removed"]), None)
        self._changed()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


class Subscription:
    """One viewer's share of a feed; `close()` it."""

    def __init__(self, feed: _Feed, on_frame: OnFrame, on_state: OnState, on_gone: Callable[[], None]) -> None:
        self.on_frame, self.on_state, self.on_gone = on_frame, on_state, on_gone
        self._feed = feed

    def close(self) -> None:
        self._feed.discard(self)


class _Feed:
    """The one subscription of this process to a camera, and all who share it."""

    def __init__(self, path: str, camera: str, ended: Callable[[_Feed], None]) -> None:
        self.camera = camera
        self.ended = False
        self._path = path
        self._on_end = ended
        self._subscribers: dict[Subscription, None] = {}
        self._last_state: Mapping[str, Any] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task = asyncio.create_task(self._run(), name=f"feed of {camera}")

    def add(self, on_frame: OnFrame, on_state: OnState, on_gone: Callable[[], None]) -> Subscription:
        subscription = Subscription(self, on_frame, on_state, on_gone)
        self._subscribers[subscription] = None
        if self._last_state is not None:
            on_state(self._last_state)
        self._tell_viewers()
        return subscription

    def discard(self, subscription: Subscription) -> None:
        self._subscribers.pop(subscription, None)
        if self._subscribers:
            self._tell_viewers()
        elif not self.ended:
            self._finish()
            self._task.cancel()

    async def close(self) -> None:
        self._gone()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _finish(self) -> None:
        self.ended = True
        self._on_end(self)

    def _gone(self) -> None:
        self._finish()
        for subscription in tuple(self._subscribers):
            subscription.on_gone()

    def _tell_viewers(self) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(line({"viewers": len(self._subscribers)}))

    async def _run(self) -> None:
        pause = RECONNECT_FIRST
        while not self.ended:
            with contextlib.suppress(OSError, ValueError, WireError):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
                try:
                    writer.write(line({"op": "subscribe", "camera": self.camera}))
                    answer = parse_line(await reader.readline())
                    if not answer.get("ok"):
                        self._gone()
                        return
                    pause = RECONNECT_FIRST
                    self._writer = writer
                    self._tell_viewers()
                    await self._receive(reader)
                finally:
                    self._writer = None
                    writer.close()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_CAP)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        parser = MessageParser()
        while data := await reader.read(READ):
            for message in parser.feed(data):
                if message.type == FRAME:
                    frame = Frame(message.payload, message.sequence, message.timestamp)
                    for subscription in tuple(self._subscribers):
                        subscription.on_frame(frame)
                elif message.type == STATE:
                    self._last_state = json.loads(message.payload)
                    for subscription in tuple(self._subscribers):
                        subscription.on_state(self._last_state or {})
                elif message.type == GONE:
                    self._gone()
                    return


class _Mailbox:
    """The newest frame for one viewer, who may be slow; what it was too slow for is skipped."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._failure: Mapping[str, Any] | None = None
        self._had = False
        self._over = False
        self._ready = asyncio.Event()

    def frame(self, frame: Frame) -> None:
        self._frame = frame
        self._failure = None
        self._ready.set()

    def state(self, state: Mapping[str, Any]) -> None:
        self._failure = state if state.get("state") in FAILED else None
        if self._failure and not self._had:
            self._ready.set()

    def end(self) -> None:
        self._over = True
        self._ready.set()

    async def next(self) -> Frame | None:
        """None at the camera's end. Raises where there never was a frame: see `ports.Cameras.frames`."""
        while True:
            if self._frame is not None:
                frame, self._frame = self._frame, None
                self._had = True
                return frame
            if self._over:
                if not self._had:
                    raise PermanentError("there is no such camera", reason="UnknownCamera")
                return None
            if self._failure is not None and not self._had:
                said = self._failure.get("message") or self._failure.get("state")
                raise TemporaryError(str(said), reason=str(self._failure.get("reason") or "Failed"))
            self._ready.clear()
            await self._ready.wait()

"""One camera's frames in one process: a single connection to the hub, any number of takers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from vidops.ports import Frame, VideoPacket, VideoTrack
from vidops.runtime.hubwire import (
    DELTA,
    FRAME,
    KEY,
    STATE,
    TRACK,
    LineReader,
    MessageReader,
    WireError,
    WireMessage,
    decode_line,
    encode_line,
)

log = logging.getLogger("vidops")

State = Mapping[str, Any]
OnFrame = Callable[[Frame], None]
OnPacket = Callable[[VideoPacket], None]
OnState = Callable[[State], None]
OnGone = Callable[[], None]
RETRY_FIRST, RETRY_MOST = 0.02, 0.5
"""Seconds between tries while the hub is away: it is back within a second, and viewers wait."""


GROUP_LIMIT = 32 * 1024 * 1024
"""Bytes of packets that are kept for who joins."""


class Subscription:
    """One taker of a camera's frames. Call `close()` when it takes no more; a second time is fine.

    `viewers` may be set to how many people stand behind it (1 until then): that is what the camera's state tells.
    """

    def __init__(
        self,
        feed: Feed,
        on_frame: OnFrame | OnPacket,
        on_state: OnState | None,
        on_gone: OnGone | None,
    ) -> None:
        self._feed = feed
        self._on_frame = on_frame
        self._on_state = on_state
        self._on_gone = on_gone
        self._viewers = 1
        self.open = True
        self.unknown = False
        """Whether it ended because the hub has no such camera."""

    @property
    def viewers(self) -> int:
        return self._viewers

    @viewers.setter
    def viewers(self, count: int) -> None:
        self._viewers = count
        self._feed.count_viewers()

    def close(self) -> None:
        if self.open:
            self.open = False
            self._feed.drop(self)

    def frame(self, frame: Frame | VideoPacket) -> None:
        if self.open:
            self._call(self._on_frame, frame)

    def state(self, state: State) -> None:
        if self.open and self._on_state is not None:
            self._call(self._on_state, state)

    def gone(self, *, unknown: bool) -> None:
        if self.open:
            self.open, self.unknown = False, unknown
            if self._on_gone is not None:
                self._call(self._on_gone)

    def _call(self, callback: Callable[..., None], *values: object) -> None:
        try:
            callback(*values)
        except Exception:
            # A taker's own error must not reach the others, nor the connection that they share.
            log.exception("a taker of camera %s failed and is dropped", self._feed.camera)
            self.close()


class Feed:
    """Keeps one camera's connection open as long as somebody takes its frames; `ended` is called when nobody does."""

    def __init__(
        self, path: str, camera: str, ended: Callable[[Feed], None], shape: Mapping[str, object] | None = None
    ) -> None:
        self.camera = camera
        self.shape = dict(shape or {})
        """What `subscribe` on the hub's socket says besides the camera."""
        self.key = (camera, *sorted(self.shape.items()))
        self.latest: list[Frame | VideoPacket] = []
        """What one that joins is shown at once: a frame, or a key frame and the packets since."""
        self._latest_bytes = 0
        self.last_state: State | None = None
        self._path = path
        self._ended = ended
        self._takers: tuple[Subscription, ...] = ()
        self._link: _Link | None = None

    def add(
        self,
        on_frame: OnFrame | OnPacket,
        on_state: OnState | None,
        on_gone: OnGone | None,
    ) -> Subscription:
        taker = Subscription(self, on_frame, on_state, on_gone)
        self._takers = (*self._takers, taker)
        # Not called from in here: the caller has not got its subscription yet.
        loop = asyncio.get_running_loop()
        if self.last_state is not None:
            loop.call_soon(taker.state, self.last_state)
        for item in self.latest:
            loop.call_soon(taker.frame, item)
        self.count_viewers()
        return taker

    def drop(self, taker: Subscription) -> None:
        self._takers = tuple(t for t in self._takers if t is not taker)
        if not self._takers:
            self.close()
        else:
            self.count_viewers()

    def close(self) -> None:
        self._ended(self)
        if self._link is not None:
            self._link.close()

    def count_viewers(self) -> None:
        if self._link is not None:
            self._link.tell_viewers(sum(t.viewers for t in self._takers))

    async def run(self) -> None:
        """Connect, and connect again, until the last taker left or the camera is gone."""
        loop = asyncio.get_running_loop()
        pause = RETRY_FIRST
        while self._takers:
            try:
                _, self._link = await loop.create_unix_connection(lambda: _Link(self, loop), self._path)
            except OSError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MOST)
                continue
            link = self._link
            try:
                if not self._takers:  # the last one left meanwhile
                    return
                self.count_viewers()
                await link.lost
            finally:
                link.close()
                self._link = None
                # After a new start of the hub, what was newest may be long past.
                self.latest = []
            pause = RETRY_FIRST if link.good else min(pause * 2, RETRY_MOST)
            if self._takers:
                await asyncio.sleep(pause)

    # -- called by the link ------------------------------------------------------------------------------------

    def frame(self, frame: Frame | VideoPacket) -> None:
        if isinstance(frame, Frame) or frame.key:
            self.latest, self._latest_bytes = [frame], len(frame.data)
        elif self.latest:
            self._latest_bytes += len(frame.data)
            if self._latest_bytes <= GROUP_LIMIT:
                self.latest.append(frame)
            else:
                self.latest = []
        for taker in self._takers:
            taker.frame(frame)

    def state(self, state: State) -> None:
        self.last_state = state
        if state.get("state") != "Online":
            self.latest = []
        for taker in self._takers:
            taker.state(state)

    def refused(self, reason: str, error: str) -> None:
        """The hub has the camera and does not give this of it, now."""
        self.state({"state": "Failed", "reason": reason, "message": error})

    def gone(self, *, unknown: bool = False) -> None:
        """There will be no more frames."""
        takers, self._takers = self._takers, ()
        self.close()
        for taker in takers:
            taker.gone(unknown=unknown)


class _Link(asyncio.Protocol):
    """One connection: the answer's line, then messages."""

    def __init__(self, feed: Feed, loop: asyncio.AbstractEventLoop) -> None:
        self._feed = feed
        self._lines = LineReader()
        self._messages: MessageReader | None = None
        self._transport: asyncio.Transport | None = None
        self._told = 1
        self._track: VideoTrack | None = None
        self.makes_sense = True
        self.lost: asyncio.Future[None] = loop.create_future()

    @property
    def good(self) -> bool:
        """Whether it was of use: the next try may come soon."""
        return self._messages is not None and self.makes_sense

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.write(encode_line({"op": "subscribe", "camera": self._feed.camera, **self._feed.shape}))

    def tell_viewers(self, count: int) -> None:
        if count != self._told and self._transport is not None and not self._transport.is_closing():
            self._told = count
            self._transport.write(encode_line({"viewers": count}))

    def data_received(self, data: bytes) -> None:
        try:
            if self._messages is None:
                self._lines.feed(data)
                line = self._lines.next()
                if line is None:
                    return
                if not self._accepted(decode_line(line)):
                    return
                data = bytes(self._lines.rest)
                self._messages = MessageReader()
            self._deliver(data)
        except WireError as error:
            if self.makes_sense:
                log.warning("camera %s: the hub speaks another protocol: %s", self._feed.camera, error)
            self.makes_sense = False
            self.close()

    def _accepted(self, answer: Mapping[str, Any]) -> bool:
        if answer.get("ok"):
            return True
        self.close()
        if answer.get("reason") == "UnknownCamera":
            self._feed.gone(unknown=True)
        else:
            self._feed.refused(str(answer.get("reason") or "Error"), str(answer.get("error") or "the hub refused"))
        return False

    def _deliver(self, data: bytes) -> None:
        assert self._messages is not None
        for message in self._messages.feed(data):
            if message.type in (FRAME, KEY, DELTA):
                self._feed.frame(self._frame(message))
            elif message.type == TRACK:
                self._track = _track(message.payload)
            elif message.type == STATE:
                self._feed.state(decode_line(message.payload))
            else:
                self._feed.gone()

    def _frame(self, message: WireMessage) -> Frame | VideoPacket:
        _, payload, sequence, timestamp = message
        if self._track is None:
            return Frame(payload, sequence, timestamp)
        return VideoPacket(self._track, payload, message.type != DELTA, sequence, timestamp)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _track(payload: bytes) -> VideoTrack:
    """Raises `WireError`."""
    match decode_line(payload):
        case {"codec": str(codec), "width": int(width), "height": int(height), "private": str(private)}:
            try:
                return VideoTrack(codec, width, height, bytes.fromhex(private))
            except ValueError:
                pass
    raise WireError("a track that is none")

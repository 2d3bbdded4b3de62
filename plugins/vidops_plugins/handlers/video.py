"""`/stream/<camera>?format=mp4`: a camera's H.264 or HEVC as it comes, for viewers that play it themselves.

Fragments are made once for all viewers of this process. One that is behind by more than `BEHIND` bytes goes on at the
next key frame.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from vidops.api import (
    Cameras,
    FrameSubscription,
    GatewayContext,
    PermanentError,
    Receive,
    Scope,
    Send,
    TemporaryError,
    VideoPacket,
    VideoTrack,
    VidopsError,
    respond_problem,
)
from vidops_plugins.handlers import mp4
from vidops_plugins.handlers.fanout import FAILED, STALL_TIMEOUT
from vidops_plugins.handlers.viewing import HEADERS, ended_by

CONTENT_TYPE = "video/mp4"
BEHIND = 8 * 1024 * 1024
LONGEST = 2 * mp4.TIMESCALE


class VideoViewer:
    """One open stream. `wake` is set whenever there is something to look at."""

    def __init__(self) -> None:
        self.error: VidopsError | None = None
        self.over = False
        self.wake = asyncio.Event()
        self.waiting: deque[bytes] = deque()
        self.pending = 0
        self._origin: int | None = None
        self._broken = True

    def offer(self, beginning: bytes, fragment: mp4.Fragment) -> None:
        if self._broken and not fragment.key:
            return
        if self.pending > BEHIND:
            self._broken = True
            return
        self._broken = False
        if self._origin is None:
            self._origin = fragment.time
            self._put(beginning)
        self._put(fragment.at(self._origin))

    def _put(self, data: bytes) -> None:
        self.waiting.append(data)
        self.pending += len(data)
        self.wake.set()

    def take(self) -> bytes:
        """Everything that waits."""
        data = b"".join(self.waiting)
        self.waiting.clear()
        self.pending = 0
        return data

    def fail(self, error: VidopsError) -> None:
        """What keeps the first frame away; a viewer that has had one waits through it."""
        if self._origin is None:
            self.error = error
            self.wake.set()

    def end(self, error: VidopsError | None) -> None:
        if self._origin is None:
            self.error = error
        self.over = True
        self.wake.set()


class VideoFanout:
    """Open from the first viewer to the last."""

    def __init__(self, cameras: Cameras, camera: str) -> None:
        self._cameras = cameras
        self._camera = camera
        self._viewers: set[VideoViewer] = set()
        self._subscription: FrameSubscription | None = None
        self._track: VideoTrack | None = None
        self._beginning = b""
        self._group: list[mp4.Fragment] = []
        self._last = 0.0
        self._duration = mp4.TIMESCALE // 25
        self._state: Mapping[str, Any] = {}

    def attach(self, viewer: VideoViewer) -> None:
        self._viewers.add(viewer)
        if self._subscription is None:
            self._subscription = self._cameras.subscribe_packets(
                self._camera, self._on_packet, self._on_state, self._on_gone
            )
        else:
            self._tell(viewer)
            for fragment in self._group:
                viewer.offer(self._beginning, fragment)
        self._subscription.viewers = len(self._viewers)

    def detach(self, viewer: VideoViewer) -> None:
        self._viewers.discard(viewer)
        if self._subscription is None:
            return
        if self._viewers:
            self._subscription.viewers = len(self._viewers)
        else:
            self._subscription.close()
            self._forget()

    def _forget(self) -> None:
        self._subscription = self._track = None
        self._group = []
        self._state = {}

    def _on_packet(self, packet: VideoPacket) -> None:
        if packet.track != self._track and not self._turn(packet.track):
            return
        since = round((packet.timestamp - self._last) * mp4.TIMESCALE)
        self._last = packet.timestamp
        if 0 < since < LONGEST:
            self._duration = since
        fragment = mp4.fragment(packet, self._duration)
        if fragment.key:
            self._group = []
        self._group.append(fragment)
        if sum(len(f.tail) for f in self._group) > BEHIND:
            self._group = []
        for viewer in tuple(self._viewers):
            viewer.offer(self._beginning, fragment)

    def _turn(self, track: VideoTrack) -> bool:
        """Another track begins: who saw the one before begins anew. Whether it can be shown."""
        before, self._track, self._group = self._track, track, []
        if track.codec not in mp4.SAMPLE_ENTRY:
            text = f"camera {self._camera} delivers {track.codec}, which /stream shows without a format"
            self._end(PermanentError(text, reason="NotInThisFormat"))
            return False
        self._beginning = mp4.begin(track)
        if before is not None:
            self._end(None)
            return False
        return True

    def _end(self, error: VidopsError | None) -> None:
        viewers, self._viewers = self._viewers, set()
        if self._subscription is not None:
            self._subscription.close()
        self._forget()
        for viewer in viewers:
            viewer.end(error)

    def _on_state(self, state: Mapping[str, Any]) -> None:
        self._state = state
        for viewer in self._viewers:
            self._tell(viewer)

    def _tell(self, viewer: VideoViewer) -> None:
        state = self._state
        if state.get("state") in FAILED:
            reason = str(state.get("reason") or state["state"])
            viewer.fail(TemporaryError(f"camera {self._camera}: {state.get('message') or reason}", reason=reason))

    def _on_gone(self) -> None:
        self._end(TemporaryError(f"camera {self._camera} was removed", reason="Removed"))


_FANOUTS: WeakKeyDictionary[Cameras, dict[str, VideoFanout]] = WeakKeyDictionary()


async def watch_video(
    scope: Scope, receive: Receive, send: Send, *, camera: str, patience: float, context: GatewayContext
) -> None:
    """Serve one viewer until it leaves, its camera is removed, or the route leaves service."""
    viewer = VideoViewer()
    source = _FANOUTS.setdefault(context.cameras, {}).setdefault(camera, VideoFanout(context.cameras, camera))
    source.attach(viewer)
    try:
        async with ended_by(viewer, context, receive):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while not viewer.waiting and viewer.error is None and not viewer.over:
                        viewer.wake.clear()
                        await viewer.wake.wait()
            if viewer.waiting:
                await _show(viewer, send)
            elif viewer.error is not None or not viewer.over:
                text = f"camera {camera}: no frame within {patience:g}s"
                error = viewer.error or TemporaryError(text, reason="StartTimeout")
                status = 406 if isinstance(error, PermanentError) else 503
                retry = [] if status == 406 else [(b"retry-after", b"2")]
                reason = getattr(error, "reason", "")
                await respond_problem(scope, send, status, str(error), reason=reason, headers=retry)
    finally:
        source.detach(viewer)


async def _show(viewer: VideoViewer, send: Send) -> None:
    headers = [(b"content-type", CONTENT_TYPE.encode()), *HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # A viewer that takes nothing for too long is dropped.
    with contextlib.suppress(TimeoutError):
        while viewer.waiting or not viewer.over:
            if viewer.waiting:
                async with asyncio.timeout(STALL_TIMEOUT):
                    await send({"type": "http.response.body", "body": viewer.take(), "more_body": True})
            else:
                viewer.wake.clear()
                await viewer.wake.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

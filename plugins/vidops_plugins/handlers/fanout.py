"""One camera's frames for all viewers of this process: each part's bytes are built once and shared.

A viewer is offered every frame and takes what it has room for; none waits for another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from vidops.api import Cameras, Direct, Frame, FrameSubscription, PermanentError, TemporaryError, VidopsError

log = logging.getLogger("vidops")

BOUNDARY = "vidops"
PREAMBLE = f"--{BOUNDARY}\r\n".encode()
STALL_TIMEOUT = 120.0
"""Seconds that a viewer may leave a frame unread before it is dropped."""
FAILED = ("Failed", "Busy", "Missing")


class Shape(NamedTuple):
    """How viewers want a camera's JPEGs: at most so wide (pixels), at most so many a second; None: as they are."""

    width: int | None = None
    fps: float | None = None


AS_IT_IS = Shape()


def part_of(frame: Frame) -> bytes:
    """One part (RFC 2046) and the boundary after it, such that a reader shows the image without the next one.

    `X-Timestamp` is the capture time in Unix seconds, `X-Sequence` the frame's number in the camera's life.
    """
    head = (
        f"Content-Type: image/jpeg\r\nContent-Length: {len(frame.data)}\r\n"
        f"X-Timestamp: {frame.timestamp:.6f}\r\nX-Sequence: {frame.sequence}\r\n\r\n"
    )
    return b"".join((head.encode(), frame.data, b"\r\n--", BOUNDARY.encode(), b"\r\n"))


class Viewer:
    """One open stream. `wake` is set whenever something is there to look at: `part`, `error` or `over`."""

    def __init__(self) -> None:
        self.part: bytes | None = None
        self.error: VidopsError | None = None
        self.over = False
        self.wake = asyncio.Event()
        self._had = False
        self._direct: Direct | None = None
        self._taken = 0.0

    def go_direct(self, direct: Direct) -> None:
        """From now on frames go straight to the transport, whenever it holds none."""
        self._direct = direct
        self._taken = asyncio.get_running_loop().time()
        direct.write(PREAMBLE)
        if self.part is not None:
            direct.write(self.part)
            self.part = None

    def offer(self, part: bytes, now: float) -> None:
        self._had = True
        direct = self._direct
        if direct is None:
            self.part = part
            self.wake.set()
        elif direct.pending == 0:
            direct.write(part)
            self._taken = now
        elif now - self._taken > STALL_TIMEOUT:
            direct.abort()
            self.end(None)

    def fail(self, error: VidopsError) -> None:
        """What keeps the first frame away; a viewer that has had one waits through it."""
        if not self._had:
            self.error = error
            self.wake.set()

    def end(self, error: VidopsError | None) -> None:
        if not self._had:
            self.error = error
        self.over = True
        self.wake.set()


class Fanout:
    """Open from the first viewer to the last: then the subscription is closed, and the camera may be."""

    def __init__(self, cameras: Cameras, camera: str, shape: Shape) -> None:
        self._camera = camera
        self._shape = {name: value for name, value in shape._asdict().items() if value is not None}
        self._viewers: set[Viewer] = set()
        self._latest: bytes | None = None
        self._state: Mapping[str, Any] = {}
        self._subscription: FrameSubscription | None = None
        self._cameras = cameras

    @property
    def idle(self) -> bool:
        return not self._viewers

    def attach(self, viewer: Viewer) -> None:
        self._viewers.add(viewer)
        if self._subscription is None:
            self._subscription = self._cameras.subscribe(
                self._camera, self._on_frame, self._on_state, self._on_gone, **self._shape
            )
        elif self._latest is not None:
            viewer.offer(self._latest, asyncio.get_running_loop().time())
        else:
            self._tell(viewer)
        self._subscription.viewers = len(self._viewers)

    def detach(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        if self._subscription is None:
            return
        if self._viewers:
            self._subscription.viewers = len(self._viewers)
        else:
            self._subscription.close()
            self._forget()

    def _forget(self) -> None:
        self._subscription = None
        self._latest = None
        self._state = {}

    def _on_frame(self, frame: Frame) -> None:
        self._latest = part = part_of(frame)
        now = asyncio.get_running_loop().time()
        for viewer in tuple(self._viewers):
            try:
                viewer.offer(part, now)
            except Exception:
                # One viewer's connection must not be the end of all the others' stream.
                log.exception("a viewer of camera %s is dropped", self._camera)
                viewer.end(None)

    def _on_state(self, state: Mapping[str, Any]) -> None:
        self._state = state
        if state.get("state") != "Online":
            self._latest = None
        for viewer in self._viewers:
            self._tell(viewer)

    def _tell(self, viewer: Viewer) -> None:
        state = self._state
        if state.get("state") in FAILED:
            reason = str(state.get("reason") or state["state"])
            viewer.fail(TemporaryError(f"camera {self._camera}: {state.get('message') or reason}", reason=reason))

    def _on_gone(self) -> None:
        unknown = self._subscription is not None and self._subscription.unknown
        error: VidopsError = (
            PermanentError(f"there is no camera {self._camera}", reason="UnknownCamera")
            if unknown
            else TemporaryError(f"camera {self._camera} was removed", reason="Removed")
        )
        viewers, self._viewers = self._viewers, set()
        self._forget()
        for viewer in viewers:
            viewer.end(error)


_FANOUTS: WeakKeyDictionary[Cameras, dict[tuple[str, Shape], Fanout]] = WeakKeyDictionary()


def fanout_of(cameras: Cameras, camera: str, shape: Shape = AS_IT_IS) -> Fanout:
    """The one of this process, whichever routes lead to the camera."""
    mine = _FANOUTS.setdefault(cameras, {})
    if (camera, shape) not in mine:
        # Shapes are as many as viewers can think of: those that nobody looks at are forgotten.
        for key in [key for key, fanout in mine.items() if key[1] != AS_IT_IS and fanout.idle]:
            del mine[key]
        mine[camera, shape] = Fanout(cameras, camera, shape)
    return mine[camera, shape]

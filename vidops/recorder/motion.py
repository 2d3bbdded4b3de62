"""Video of what moves: from a little before until a little after.

Frames wait in a ring for the time before. A detector sees a few small ones a second; while it says that something
moves, and for a while after, frames go from the ring into a file.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from vidops.ports import Frame
from vidops.recorder.spool import Spool, Video

log = logging.getLogger("vidops")

RING_BYTES = 64 * 1024 * 1024
"""The most that waits for something to happen, whatever the time asked for."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds, but for `threshold`: the share of a picture that has to change, 0 to 1, by FFmpeg's scene score."""

    threshold: float = 0.02
    pre_roll: float = 5.0
    post_roll: float = 10.0
    longest: float = 300.0


@dataclass
class Ring:
    """The newest frames, of at most so many seconds and bytes."""

    seconds: float
    limit: int = RING_BYTES
    frames: deque[Frame] = field(default_factory=deque)
    bytes: int = 0

    def add(self, frame: Frame) -> None:
        if self.frames and frame.timestamp < self.frames[-1].timestamp:
            # The clock was set back: these cannot stand in one file.
            self.clear()
        self.frames.append(frame)
        self.bytes += len(frame.data)
        while self.frames[0].timestamp < frame.timestamp - self.seconds or self.bytes > self.limit:
            self.bytes -= len(self.frames.popleft().data)
            if not self.frames:
                return

    def clear(self) -> None:
        self.frames.clear()
        self.bytes = 0


class MotionRecorder:
    """Takes frames and scores, writes clips. `size()`: the picture's width and height. Raises what the disk does."""

    def __init__(self, rules: Rules, spool: Spool, size: Callable[[], tuple[int, int]]) -> None:
        self._rules = rules
        self._spool = spool
        self._size = size
        self._ring = Ring(rules.pre_roll)
        self._video: Video | None = None
        self._begun = self._until = 0.0
        self._dimensions = (0, 0)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def recording(self) -> bool:
        return self._video is not None

    def scored(self, score: float, timestamp: float) -> None:
        """What the detector says of the frame of a time."""
        if score >= self._rules.threshold:
            self._until = timestamp + self._rules.post_roll

    def take(self, frame: Frame) -> None:
        """A frame, in the order in which they were captured. Called in the event loop; the disk's refusal is kept for
        whoever waits for `failed`."""
        if self.failed.done():
            return
        try:
            self._take(frame)
        except OSError as error:
            self.failed.set_exception(error)

    def _take(self, frame: Frame) -> None:
        if self._video is not None:
            seconds = frame.timestamp - self._begun
            fits = 0 <= seconds < self._rules.longest and self._size() == self._dimensions
            if fits and frame.timestamp <= self._until:
                self._video.add(frame.data, seconds)
                return
            self.finish()
        self._ring.add(frame)
        if frame.timestamp <= self._until:
            self._begin()

    def _begin(self) -> None:
        first = self._ring.frames[0]
        self._begun, self._dimensions = first.timestamp, self._size()
        self._video = self._spool.begin(first.timestamp, ".mkv")
        self._video.open(*self._dimensions)
        for waiting in self._ring.frames:
            self._video.add(waiting.data, waiting.timestamp - self._begun)
        # What is in this file is not put into the next one, too.
        self._ring.clear()

    def finish(self) -> None:
        """End the clip that grows."""
        if self._video is not None:
            self._video.close()
            self._video = None

"""One camera of the hub: its frames counted, stamped and handed on; its consumers; what is told of it."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vidops.hub import jpeg, units
from vidops.hub.controls import Controls
from vidops.hub.lifecycle import CameraState, Life, Rules
from vidops.hub.source import Source
from vidops.hub.timeline import PacketTimeline, Timeline
from vidops.ports import Processes
from vidops.runtime.hubwire import DELTA, FRAME, KEY, message_head
from vidops.runtime.matroska import Track, frame_head
from vidops.runtime.matroska_reader import Packet

FPS_WINDOW = 2.0
"""Seconds over which `captured_fps` is counted."""
GROUP_LIMIT = 32 * 1024 * 1024
"""Bytes of a key frame and what follows it that are kept for who joins."""
JPEG = "mjpeg"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A frame as it goes out: its bytes, and what goes before it on either kind of connection. Made once for all.

    `epoch` is another whenever a Matroska stream cannot go on: another codec or picture size, a clock that was set.
    `key`: whether it can be decoded by itself; a JPEG always can.
    """

    data: bytes
    cluster: bytes
    message: bytes
    epoch: int
    track: Track
    time: float
    key: bool = True


class Consumer(Protocol):
    """Who takes frames. Its methods never block and never raise."""

    @property
    def viewers(self) -> int: ...
    def take(self, item: Recorded) -> None: ...
    def state_changed(self, state: dict[str, Any]) -> None: ...
    def gone(self) -> None:
        """The camera is no more: end."""

    def again(self) -> None:
        """What it reads is not what it asked for any more: end, so that it comes again."""

    def status(self) -> dict[str, Any]: ...


class Inlet(Protocol):
    """A connection that delivers this camera's frames."""

    pid: int

    def close(self) -> None: ...


class Camera:
    """`changed` is called whenever what `state()` gives is another (counters aside)."""

    def __init__(
        self, name: str, log_file: str, processes: Processes, changed: Callable[[Camera], None], max_frame: int
    ) -> None:
        self.name = name
        self.max_frame = max_frame
        self.controls = Controls(name, lambda: changed(self))
        self.held = False
        """Asked to stay open, whether anybody looks or not."""
        self.source = Source(
            name,
            log_file,
            processes,
            self._lived,
            self._source_closed,
            prepare=self.controls.settle,
            mismatch=self._mismatch,
        )
        self.description: dict[str, Any] = {}
        self.consumers: set[Consumer] = set()
        self.latest: Recorded | None = None
        """While online: what a new viewer is shown at once."""
        self.inlet: Inlet | None = None
        self.track: Track | None = None
        """What was delivered last; kept while it rests."""
        self.group: list[Recorded] = []
        """The newest key frame and what came since; empty where every frame is one."""
        self.sequence = 0
        self.drops: Counter[str] = Counter()
        self.last_drop = ""
        self.since = time.time()
        self._changed = changed
        self._timeline = Timeline()
        self._packets = PacketTimeline()
        self._tracks = 0
        self._group_bytes = self._group_epoch = 0
        self._arrivals: deque[float] = deque(maxlen=1024)

    def apply(self, rules: Rules, description: dict[str, Any]) -> None:
        """New words of the stack file."""
        self.description = description
        self.source.apply(rules)
        self._changed(self)

    def add(self, consumer: Consumer) -> None:
        self.consumers.add(consumer)
        self._demand()

    def discard(self, consumer: Consumer) -> None:
        self.consumers.discard(consumer)
        self._demand()

    def hold(self, *, on: bool) -> None:
        """Keep it open without consumers, or not any more."""
        self.held = on
        self._demand()

    def _demand(self) -> None:
        self.source.demand(len(self.consumers) + self.held)
        self._changed(self)

    def recounted(self) -> None:
        """A consumer has another number of viewers."""
        self._changed(self)

    def close(self) -> None:
        """The camera is removed: consumers end. Ending its source is the caller's."""
        for consumer in tuple(self.consumers):
            consumer.gone()
        self.consumers.clear()

    # -- its source's connection -------------------------------------------------------------------------------

    def admit(self, inlet: Inlet) -> str:
        """Let a source's connection deliver; else say why not. There is one at a time, and only of a started source."""
        if not self.source.life.running:
            return "no source was started"
        if self.inlet is not None:
            return f"process {self.inlet.pid} delivers already"
        self.inlet = inlet
        return ""

    def left(self, inlet: Inlet, why: str) -> None:
        """The connection ended."""
        if self.inlet is inlet:
            self.inlet = None
            self.source.lost(why)

    def _source_closed(self) -> None:
        # Its process is gone; a connection that is still open was inherited by a child of it.
        if self.inlet is not None:
            inlet, self.inlet = self.inlet, None
            inlet.close()

    def drop(self, reason: str, message: str) -> None:
        """Something that came is not handed on."""
        self.drops[reason] += 1
        self.last_drop = message

    def deliver(self, data: bytes) -> None:
        """A frame's bytes as they came. What is no whole JPEG goes no further."""
        try:
            image = jpeg.check(data)
        except jpeg.BadImageError as error:
            self.drop(error.reason, str(error))
            return
        now = time.monotonic()
        track = self.track
        if track is None or (image.width, image.height) != (track.width, track.height) or track.codec != JPEG:
            track = self._turn(Track(JPEG, image.width, image.height))
        stamp = self._timeline.stamp(time.time(), now)
        self.sequence += 1
        size = len(image.data)
        message = message_head(FRAME, size, self.sequence, stamp)
        epoch = self._tracks + self._timeline.epoch + self._packets.epoch
        self._hand_on(Recorded(image.data, frame_head(size, stamp), message, epoch, track, stamp), now)

    def begin(self, track: Track) -> None:
        """A stream of packets begins; what follows is `deliver_packet`'s, or `deliver`'s where they are JPEGs."""
        self._packets.restart()
        self.group = []
        if track != self.track and track.codec != JPEG:
            self._turn(track)

    def deliver_packet(self, packet: Packet) -> None:
        """A packet of the stream that began, as it came. What is not whole, or before a key frame, goes no further."""
        track = self.track
        if track is None or track.codec == JPEG:
            self.deliver(packet.data)
            return
        if not self.group and not packet.key:
            self.drop("BeforeKeyFrame", "a frame that cannot be decoded without one before it")
            return
        if not units.whole(packet.data, track):
            self.group = []
            self.drop("Malformed", f"a frame whose {track.codec} units are not as long as they say")
            return
        now = time.monotonic()
        arrival = self._timeline.stamp(time.time(), now)
        stamp = self._packets.stamp(packet.time, arrival, self._timeline.epoch, key=packet.key)
        if packet.key:
            self._group_epoch = self._tracks + self._timeline.epoch + self._packets.epoch
        self.sequence += 1
        size = len(packet.data)
        message = message_head(KEY if packet.key else DELTA, size, self.sequence, stamp)
        cluster = frame_head(size, stamp, key=packet.key)
        item = Recorded(packet.data, cluster, message, self._group_epoch, track, stamp, packet.key)
        if packet.key:
            self.group, self._group_bytes = [], 0
        self._group_bytes += size
        if self._group_bytes <= GROUP_LIMIT:
            self.group.append(item)
        else:
            del self.group[1:]  # nobody can join before the next one
        self._hand_on(item, now)

    def _turn(self, track: Track) -> Track:
        self.track = track
        self._tracks += 1
        self._changed(self)
        return track

    def _mismatch(self) -> str:
        asked = self.source.rules.size
        got = f"{self.track.width}x{self.track.height}" if self.track else ""
        return f"it was asked for {asked} and delivers {got}" if asked not in ("", got) else ""

    def _hand_on(self, item: Recorded, now: float) -> None:
        self._arrivals.append(now)
        self.source.frame(now)
        self.latest = item
        for consumer in tuple(self.consumers):
            consumer.take(item)

    # -- its state ---------------------------------------------------------------------------------------------

    @property
    def fps(self) -> float:
        """Frames a second over the last `FPS_WINDOW` seconds."""
        now = time.monotonic()
        arrivals = self._arrivals
        while arrivals and arrivals[0] < now - FPS_WINDOW:
            arrivals.popleft()
        return round((len(arrivals) - 1) / (now - arrivals[0]), 1) if len(arrivals) > 1 else 0.0

    def state(self) -> dict[str, Any]:
        """What is told of it, as JSON; the fields are described in docs/reference/hub.md."""
        life, rules = self.source.life, self.source.rules
        reason, message = life.reason, life.message
        if self.controls.errors and reason in ("Online", "Idle"):
            reason, message = "ControlRefused", "; ".join(self.controls.errors)
        return {
            "name": self.name,
            "state": life.state.value,
            "reason": reason,
            "message": message,
            "held": self.held,
            "viewers": sum(c.viewers for c in self.consumers),
            "captured_fps": self.fps,
            "codec": self.track.codec if self.track else "",
            "width": self.track.width if self.track else 0,
            "height": self.track.height if self.track else 0,
            "frames": self.sequence,
            "drops": self.drops.total(),
            "drop_reasons": dict(self.drops),
            "last_drop": self.last_drop,
            "restarts": life.restarts,
            "since": self.since,
            "start_timeout": rules.start_timeout,
            "fingerprint": rules.fingerprint,
            "description": self.description,
        }

    def _lived(self, old: Life, life: Life) -> None:
        if (old.state, old.reason, old.message) == (life.state, life.reason, life.message):
            return
        if old.state is not life.state:
            self.since = time.time()
        if life.state is not CameraState.ONLINE:
            self.latest, self.group = None, []
        self._changed(self)
        state = self.state()
        for consumer in tuple(self.consumers):
            consumer.state_changed(state)

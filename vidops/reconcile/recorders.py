"""Which captures record now: schedules, requests and the disk's room come together here.

`pause_of` is asked by whoever starts or judges a capture; `due` tells when what runs is not what should. Nothing here
starts or stops anything: that is the capture driver's, in an iteration of the engine like everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vidops.planning.activity import Pause, next_resumed, next_shed, paused
from vidops.ports import Clock
from vidops.resources.resource import Resource
from vidops.resources.specs import CaptureSpec

SHED_PAUSE = 2.0
"""Seconds between two captures that are stopped, or started again, for the disk: to see what the first one brought."""
LOW_SHARE, LOW_MOST = 0.05, 64 * 1024 * 1024
HIGH_SHARE, HIGH_MOST = 0.12, 192 * 1024 * 1024
"""Of a disk: below the first, recorders are stopped one by one; above the second, they go on. Retention's `min_free`
comes long before."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has, in bytes."""

    free: int
    total: int

    @property
    def low(self) -> bool:
        return self.free < min(LOW_SHARE * self.total, LOW_MOST)

    @property
    def ample(self) -> bool:
        return self.free > min(HIGH_SHARE * self.total, HIGH_MOST)


@dataclass
class Recorders:
    """`asked`: the on-demand captures that were asked to record. Its caller remembers it beyond this process."""

    clock: Clock
    asked: set[str] = field(default_factory=set)
    shed: set[str] = field(default_factory=set)
    disk_gone: bool = False
    """Whether what is mounted where recordings go is not there now: what lies below is not to be filled."""
    _next_step: float = 0.0

    def pause_of(self, name: str, spec: CaptureSpec) -> Pause | None:
        """Why a capture is not to record now; None where it is."""
        if self.disk_gone:
            return Pause(
                "DiskGone",
                "the disk that recordings go to is not mounted: it goes on when it is, or after "
                "`vidops recordings forget-disk`",
            )
        return paused({name: spec}, now=self.clock.now(), asked=self.asked, shed=self.shed).get(name)

    def due(self, resources: Iterable[Resource], wanted: Iterable[str]) -> list[Resource]:
        """Captures that record and should not, or should and do not. `wanted`: programs that are kept running."""
        running = set(wanted)
        return [
            r
            for r in resources
            if isinstance(r.spec, CaptureSpec)
            and (r.ref.program in running) == (self.pause_of(r.ref.name, r.spec) is not None)
        ]

    def see_room(self, captures: Mapping[str, CaptureSpec], room: Room | None) -> str:
        """Look at the disk; stop or resume one capture where that is due. Returns what was decided, for the log.

        `room` None: it cannot be told (the disk is away); nothing changes.
        """
        self.shed &= captures.keys()
        now = self.clock.monotonic()
        if room is None or now < self._next_step:
            return ""
        if room.low:
            recording = {n: s for n, s in captures.items() if self.pause_of(n, s) is None}
            name = next_shed(recording)
            if name is not None:
                self.shed.add(name)
                self._next_step = now + SHED_PAUSE
                return f"capture {name} is stopped: the disk has {room.free} bytes left"
        elif room.ample:
            name = next_resumed(captures, self.shed)
            if name is not None:
                self.shed.discard(name)
                self._next_step = now + SHED_PAUSE
                return f"capture {name} goes on: the disk has {room.free} bytes left"
        return ""

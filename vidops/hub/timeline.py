"""Capture times of one camera: the wall clock's, made fit for a stream. Pure."""

from __future__ import annotations

TICK = 0.001
"""Seconds that a Matroska stream can tell apart."""
STEP = 0.5
"""Seconds by which the wall clock must have been set for the stream to follow it in a jump."""

JUMP = 3.0
"""Seconds between a packet's time and its arrival that are no delay any more."""
SLEW = 0.001
"""Seconds a packet by which its stream is drawn towards the host's clock."""


class Timeline:
    """Stamps strictly increase by a tick or more, until somebody sets the clock: then a new epoch begins.

    A stream goes on through small corrections. After a large one its times would be wrong, or stand still, for as
    long as the clock was set back; so `epoch` counts up, and whoever writes a stream begins another.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._last = 0.0
        self._offset: float | None = None

    def stamp(self, wall: float, monotonic: float) -> float:
        """The capture time of a frame that came at `wall` (Unix seconds), `monotonic` being the same instant."""
        offset = wall - monotonic
        if self._offset is not None and abs(offset - self._offset) > STEP:
            self.epoch += 1
            self._last = 0.0
            self._offset = offset
        elif self._offset is None:
            self._offset = offset
        else:
            # Slewing is followed, in small steps, so that a year of it is no jump.
            self._offset += (offset - self._offset) * 0.01
        self._last = max(wall, self._last + TICK)
        return self._last


class PacketTimeline:
    """Times of packets that bring their own: the stream's clock, laid on the capture times of `Timeline`.

    The stream's own intervals are kept, so that a network's jitter is not recorded, and its slow drift against the
    host's clock is followed. What cannot be followed (the clock was set, the stream's own clock jumped) waits for a key
    frame and is a new epoch: streams may begin anew there and nowhere else.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._offset: float | None = None
        self._clock = 0
        self._last = 0.0

    def restart(self) -> None:
        """The source begins a stream anew: its clock says nothing of the one before."""
        self._offset = None

    def stamp(self, time: float, arrival: float, clock: int, *, key: bool) -> float:
        """The capture time (Unix seconds) of a packet of the stream's `time` that came at `arrival`, as `Timeline`
        stamps it; `clock`: `Timeline.epoch`."""
        if self._offset is None:
            self._offset = max(arrival, self._last + TICK) - time
            self._clock = clock
        drift = arrival - (time + self._offset)
        if key and (clock != self._clock or abs(drift) > JUMP):
            self.epoch += 1
            self._offset, self._clock, self._last = arrival - time, clock, 0.0
        else:
            self._offset += max(-SLEW, min(SLEW, drift * 0.01))
        stamp = time + self._offset
        self._last = max(self._last, stamp)
        return stamp

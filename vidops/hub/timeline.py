"""Capture times of one camera: the wall clock's, made fit for a stream. Pure."""

from __future__ import annotations

TICK = 0.001
"""Seconds that a Matroska stream can tell apart."""
STEP = 0.5
"""Seconds by which the wall clock must have been set for the stream to follow it in a jump."""


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

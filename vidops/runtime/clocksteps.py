"""Steps of the wall clock: how old something is, whatever was done to the clock meanwhile. No I/O.

A host without a battery wakes up in 1970 and is set right a minute later; what it recorded in that minute is not half a
century old.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LEAST = 30.0
"""Seconds; less is the slewing that NTP does all the time."""
MOST = 1000
"""Steps that are remembered."""


@dataclass
class ClockSteps:
    """Fed with both clocks now and then; remembers by how much the wall clock was set, and what it said before."""

    steps: list[tuple[float, float]] = field(default_factory=list)
    """What the clock said at most before it was set, and by how many seconds it was."""
    _offset: float | None = None
    _wall: float = 0.0

    def look(self, wall: float, monotonic: float) -> float:
        """Seconds that the clock was set by since the last look; 0 where it was not."""
        offset = wall - monotonic
        step = 0.0 if self._offset is None else offset - self._offset
        if abs(step) >= LEAST:
            self.steps.append((self._wall, step))
            del self.steps[:-MOST]
        self._offset, self._wall = offset, wall
        return step if abs(step) >= LEAST else 0.0

    def now_called(self, moment: float) -> float:
        """What the clock of today would have said at a moment that the clock of then called `moment`.

        A time that is later than the clock ever was before a step is of after it.
        """
        for before, step in self.steps:
            if moment <= before:
                moment += step
        return moment

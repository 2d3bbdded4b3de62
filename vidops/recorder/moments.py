"""When the next picture is due, by the clock on the wall and whatever is done to it. Pure but for the sleeping."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

from vidops.ports import Clock

LONGEST_NAP = 1.0
"""Seconds slept at a time: a clock that was set is noticed after that."""


def following(now: float, every: float) -> float:
    """The next whole multiple of `every` after `now`."""
    return (math.floor(now / every) + 1) * every


async def moments(clock: Clock, every: float) -> AsyncIterator[float]:
    """Yields at once, and then at each whole multiple of `every` seconds; those that were missed are left out."""
    yield clock.now()
    due = following(clock.now(), every)
    while True:
        now = clock.now()
        if now >= due:
            yield due
            due = following(clock.now(), every)
        elif due - now > every:
            # The clock was set back.
            due = following(now, every)
        else:
            await clock.sleep(min(due - now, LONGEST_NAP))

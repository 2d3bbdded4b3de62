"""When something is to happen: weekly windows of wall-clock time. Pure; the zone's rules come from the tz database.

A window is a set of wall-clock times. It is open while the clocks of its zone show a time inside it, and that is
the whole law: an hour that comes twice in autumn is inside twice, one that spring leaves out is not missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vidops.resources.resource import Spec

DAY = 86400
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HORIZON = 9
"""Days that are looked ahead: a week, and a day for windows that begin on the eve and one for the zone."""


class Window(Spec):
    """`days`: 0 is Monday, the day that it begins on. `begin`, `end`: seconds of the day by the clocks of `timezone`.

    One that ends at or before its begin ends on the next day. `timezone` empty: the host's.
    """

    days: tuple[int, ...]
    begin: int = 0
    end: int = DAY
    timezone: str = ""


def is_open(windows: Sequence[Window], now: float) -> bool:
    """Whether any window is open at `now` (Unix seconds)."""
    return any(_open(window, now) for window in windows)


def next_change(windows: Sequence[Window], now: float) -> float | None:
    """When `is_open` is another than now, to the second; None where that is not within a week."""
    state = is_open(windows, now)
    moments = sorted({m for w in windows for m in _boundaries(w, now)})
    return next((moment for moment in moments if moment > now and is_open(windows, moment) != state), None)


def _open(window: Window, now: float) -> bool:
    here = _local(window.timezone, now)
    second = here.hour * 3600 + here.minute * 60 + here.second
    today, eve = here.weekday(), (here.weekday() - 1) % 7
    if window.begin < window.end:
        return today in window.days and window.begin <= second < window.end
    return (today in window.days and second >= window.begin) or (eve in window.days and second < window.end)


def _boundaries(window: Window, now: float) -> Iterable[float]:
    """Moments at which the window may open or close: its ends, in both readings of an hour that comes twice, and
    when the clocks are set."""
    first = _local(window.timezone, now).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    for day in range(-1, HORIZON):
        midnight = first + timedelta(days=day)
        for second in (0, window.begin, window.end % DAY):
            wall = midnight + timedelta(seconds=second)
            yield from (float(int(wall.replace(fold=fold).timestamp())) for fold in (0, 1))
        yield from _clocks_set(window.timezone, midnight.timestamp(), (midnight + timedelta(days=1)).timestamp())


def _clocks_set(timezone: str, begin: float, end: float) -> Iterable[float]:
    """When, between two moments, the zone's distance from UTC changes, to the second; one such time at most."""
    low, high = int(begin), int(end)
    before = _offset(timezone, low)
    if _offset(timezone, high) == before:
        return
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(timezone, middle) == before:
            low = middle
        else:
            high = middle
    yield float(high)


def _offset(timezone: str, now: float) -> timedelta | None:
    return _local(timezone, now).astimezone().utcoffset() if not timezone else _local(timezone, now).utcoffset()


def _local(timezone: str, now: float) -> datetime:
    # The host's own zone is asked anew each time: it may be set while this runs.
    return datetime.fromtimestamp(now, _zone(timezone)) if timezone else _naive(now)


def _naive(now: float) -> datetime:
    # Without a zone, `replace` and `timestamp` follow the host's rules for each date.
    return datetime.fromtimestamp(now)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def known_zone(name: str) -> bool:
    """Whether the tz database has it."""
    try:
        _zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

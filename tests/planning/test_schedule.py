"""Weekly windows by the clocks of a zone, on the days when the clocks are set."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidops.resources.schedule import DAY, Window, is_open, known_zone, next_change

BERLIN = "Europe/Berlin"
EVERY_DAY = tuple(range(7))


def at(text: str, zone: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def hours(begin: float, end: float, days: tuple[int, ...] = EVERY_DAY, zone: str = BERLIN) -> tuple[Window, ...]:
    return (Window(days=days, begin=int(begin * 3600), end=int(end * 3600), timezone=zone),)


WORK = hours(7, 19, days=(0, 1, 2, 3, 4))
NIGHT = hours(22, 6)
SMALL_HOURS = hours(1.5, 2.5)


@pytest.mark.parametrize(
    ("windows", "moment", "expected"),
    [
        (WORK, "2026-11-25 06:59:59", False),
        (WORK, "2026-11-25 07:00:00", True),
        (WORK, "2026-11-25 18:59:59", True),
        (WORK, "2026-11-25 19:00:00", False),
        (WORK, "2026-11-28 12:00:00", False),
        (NIGHT, "2026-11-25 23:00:00", True),
        (NIGHT, "2026-11-26 05:59:59", True),
        (NIGHT, "2026-11-26 06:00:00", False),
        # A night of a Sunday reaches into the Monday, and no other does.
        (hours(22, 6, days=(6,)), "2026-11-30 05:00:00", True),
        (hours(22, 6, days=(6,)), "2026-11-29 05:00:00", False),
        # Begin and end alike: the whole day, from there on.
        (hours(0, 24), "2026-11-25 00:00:00", True),
        (hours(12, 12, days=(0,)), "2026-11-24 11:59:59", True),
        (hours(12, 12, days=(0,)), "2026-11-24 12:00:00", False),
        # Spring: there is no 02:15. Half an hour of the window is left.
        (SMALL_HOURS, "2026-03-29 01:45:00", True),
        (SMALL_HOURS, "2026-03-29 03:00:00", False),
    ],
)
def test_open(windows: tuple[Window, ...], moment: str, expected: bool) -> None:
    assert is_open(windows, at(moment)) is expected


def test_an_hour_that_comes_twice_is_inside_twice() -> None:
    assert is_open(SMALL_HOURS, at("2026-10-25 02:15:00", fold=0))
    assert not is_open(SMALL_HOURS, at("2026-10-25 02:45:00", fold=0))
    assert is_open(SMALL_HOURS, at("2026-10-25 02:15:00", fold=1))


@pytest.mark.parametrize(
    ("windows", "moment", "expected"),
    [
        (WORK, at("2026-11-25 06:00:00"), at("2026-11-25 07:00:00")),
        (WORK, at("2026-11-27 19:00:00"), at("2026-11-30 07:00:00")),
        # The clocks jump over the end: it closes as they jump.
        (SMALL_HOURS, at("2026-03-29 01:45:00"), at("2026-03-29 03:00:00")),
        # It opens at 02:30 on every other day; on this one as the clocks jump past it.
        (hours(2.5, 4), at("2026-03-29 01:00:00"), at("2026-03-29 03:00:00")),
        (SMALL_HOURS, at("2026-10-25 02:00:00", fold=0), at("2026-10-25 02:30:00", fold=0)),
        (SMALL_HOURS, at("2026-10-25 02:45:00", fold=0), at("2026-10-25 02:00:00", fold=1)),
        (hours(0, 24), at("2026-11-25 06:00:00"), None),
    ],
)
def test_next_change(windows: tuple[Window, ...], moment: float, expected: float | None) -> None:
    assert next_change(windows, moment) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            Window,
            days=st.sets(st.integers(0, 6), min_size=1).map(lambda s: tuple(sorted(s))),
            begin=st.integers(0, DAY - 1),
            end=st.integers(1, DAY),
            timezone=st.sampled_from([BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(int(at("2026-01-01 00:00:00")), int(at("2027-01-01 00:00:00"))),
)
def test_the_next_change_is_a_change_and_the_next(windows: list[Window], now: int) -> None:
    state, change = is_open(windows, now), next_change(windows, now)
    end = change if change is not None else now + 7 * DAY
    # Looked at every minute up to the change, and at the last second before it.
    assert all(is_open(windows, moment) == state for moment in range(now, int(end), 60))
    if change is not None:
        assert change > now
        assert is_open(windows, change - 1) == state
        assert is_open(windows, change) != state


def test_zones() -> None:
    assert known_zone(BERLIN)
    assert not known_zone("Europe/Atlantis")
    assert not known_zone("../../etc/passwd")

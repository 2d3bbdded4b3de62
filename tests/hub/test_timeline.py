from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.hub.timeline import STEP, TICK, Timeline


def test_stamps_are_the_wall_clocks() -> None:
    line = Timeline()
    assert [line.stamp(1000.0 + n / 30, 5.0 + n / 30) for n in range(3)] == [1000.0, 1000.0 + 1 / 30, 1000.0 + 2 / 30]
    assert line.epoch == 0


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(-STEP / 4, STEP / 4))))
def test_small_corrections_never_stand_still_or_go_back(steps: list[tuple[float, float]]) -> None:
    line, monotonic, last = Timeline(), 0.0, 0.0
    for passed, correction in steps:
        monotonic += passed
        stamp = line.stamp(1e9 + monotonic + correction, monotonic)
        assert stamp >= last + TICK * 0.99
        last = stamp
    assert line.epoch == 0


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 56 * 365 * 86400.0])
def test_a_clock_that_is_set_begins_an_epoch_and_is_followed(jump: float) -> None:
    line = Timeline()
    line.stamp(2e9, 10.0)
    assert line.stamp(2e9 + 1 + jump, 11.0) == 2e9 + 1 + jump
    assert line.epoch == 1
    assert line.stamp(2e9 + 2 + jump, 12.0) == 2e9 + 2 + jump
    assert line.epoch == 1


def test_a_pause_is_no_jump() -> None:
    line = Timeline()
    line.stamp(1000.0, 0.0)
    line.stamp(1000.0 + 86400, 86400.0)
    assert line.epoch == 0


def test_a_slewed_clock_is_followed_without_a_jump() -> None:
    line = Timeline()
    for n in range(100_000):
        wall = n / 30 * (1 + 500e-6)
        line.stamp(1e9 + wall, n / 30)
    assert line.epoch == 0

"""How old footage is, whatever was done to the clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vidops.runtime.clocksteps import ClockSteps

YEAR = 365 * 86400.0


def test_a_host_that_woke_up_in_1970() -> None:
    clock = ClockSteps()
    clock.look(100, 5)
    assert clock.look(160, 65) == 0
    assert clock.look(1_795_000_000, 75) == 1_795_000_000 - 75 - 95
    # What ended at "130" is less than a minute old.
    assert 1_795_000_000 - clock.now_called(130) == 40
    assert clock.now_called(1_795_000_001) == 1_795_000_001


def test_slewing_is_no_step() -> None:
    clock = ClockSteps()
    assert [clock.look(1e9 + second * 1.01, float(second)) for second in range(10_000)] == [0.0] * 10_000
    assert clock.steps == []


@given(st.lists(st.tuples(st.floats(1, 5000), st.sampled_from([0, 0, 0, YEAR, -YEAR, 3600, -3600, 40])), min_size=1))
def test_ages_are_true_after_forward_steps(lives: list[tuple[float, float]]) -> None:
    """Each entry: seconds that pass, then by how much the clock is set. Only forward steps tell past times apart."""
    clock, wall, monotonic = ClockSteps(), 1e9, 0.0
    clock.look(wall, monotonic)
    ends: list[tuple[float, float]] = []
    for passed, step in lives:
        wall, monotonic = wall + passed, monotonic + passed
        clock.look(wall, monotonic)
        ends.append((wall, monotonic))
        wall += max(0.0, step)
        clock.look(wall, monotonic)
    for called, real in ends:
        assert abs((wall - clock.now_called(called)) - (monotonic - real)) < 0.01

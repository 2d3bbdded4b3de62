from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.hub.timeline import STEP, TICK, PacketTimeline, Timeline
from vidops.runtime.media import _media


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


def packets(times: list[tuple[float, float, bool]], clock: int = 0) -> list[tuple[float, int]]:
    timeline = PacketTimeline()
    return [(timeline.stamp(time, arrival, clock, key=key), timeline.epoch) for time, arrival, key in times]


def test_packets_keep_the_intervals_of_their_own_clock() -> None:
    jitter = [0.0, 0.03, -0.02, 0.09, 0.0] * 20
    found = packets([(7 + n / 10, 1e9 + n / 10 + late, n % 10 == 0) for n, late in enumerate(jitter)])
    steps = [b - a for (a, _), (b, _) in itertools.pairwise(found)]
    assert all(0.0985 < step < 0.1015 for step in steps)
    assert {epoch for _, epoch in found} == {0}


def test_packets_that_are_late_all_at_once_leave_no_hole() -> None:
    """Two seconds of silence, then what was captured in them within an instant: its own times are what counts."""
    arrivals = [*(n / 30 for n in range(60)), *(4.0 + n / 1e4 for n in range(60)), *(n / 30 for n in range(120, 180))]
    found = packets([(7 + n / 30, 1e9 + at, n % 30 == 0) for n, at in enumerate(arrivals)])
    media = _media([round(1000 * stamp) for stamp, _ in found], 0.001, "h264")
    assert media is not None
    assert (media.frames, media.holes) == (180, ())
    assert {epoch for _, epoch in found} == {0}
    plain = Timeline()
    unaware = _media([round(1000 * plain.stamp(1e9 + at, at)) for at in arrivals], 0.001, "mjpeg")
    assert unaware is not None
    assert len(unaware.holes) == 1, "frames that bring no times of their own were captured when they came"


def test_a_jump_waits_for_a_key_frame_and_is_another_epoch() -> None:
    given = [(0.0, 1e9, True), (50.1, 1e9 + 0.1, False), (50.2, 1e9 + 0.2, True), (50.3, 1e9 + 0.3, False)]
    found = packets(given)
    assert [epoch for _, epoch in found] == [0, 0, 1, 1]
    assert found[2][0] == 1e9 + 0.2


def test_a_stream_that_begins_anew_goes_on_in_time() -> None:
    timeline = PacketTimeline()
    before = [timeline.stamp(n / 10, 1e9 + n / 10, 0, key=n == 0) for n in range(10)]
    timeline.restart()
    after = [timeline.stamp(n / 10, 1e9 + 2 + n / 10, 0, key=n == 0) for n in range(10)]
    assert sorted(before + after) == before + after
    assert after[0] == 1e9 + 2
    assert timeline.epoch == 0


def test_a_clock_that_was_set_is_followed_at_the_next_key_frame() -> None:
    timeline = PacketTimeline()
    timeline.stamp(0.0, 1e9, 0, key=True)
    timeline.stamp(0.1, 1e9 - 100, 1, key=False)
    assert timeline.epoch == 0
    assert timeline.stamp(0.2, 1e9 - 100, 1, key=True) == 1e9 - 100
    assert timeline.epoch == 1

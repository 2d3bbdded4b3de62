from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.hub.shape import Pacer, Shape, parse_shape
from vidops.planning.render import PROGRAM_PATTERN


@pytest.mark.parametrize(
    ("width", "fps", "key"),
    [
        (None, None, "jpeg"),
        (320, None, "w320"),
        (321, None, "w320"),
        (None, 5, "r5"),
        (640, 12.5, "w640-r12_5"),
        (640, 29.97003, "w640-r29_97"),
    ],
)
def test_the_key_of_a_shape(width: int | None, fps: float | None, key: str) -> None:
    assert parse_shape(width, fps).key == key


@pytest.mark.parametrize(
    ("width", "fps"),
    [
        (15, None),
        (8193, None),
        (True, None),
        ("320", None),
        (0.5, None),
        (None, 0),
        (None, -1),
        (None, 1e9),
        (None, float("nan")),
        (None, True),
        (None, "5"),
        ([], None),
    ],
)
def test_what_is_no_shape(width: object, fps: object) -> None:
    with pytest.raises(ValueError, match="between"):
        parse_shape(width, fps)


@given(st.integers(16, 8192), st.floats(0.01, 240))
def test_a_key_is_part_of_a_programs_name(width: int, fps: float) -> None:
    import re

    assert re.fullmatch(PROGRAM_PATTERN, f"derived.{'x' * 48}.{parse_shape(width, fps).key}")


@pytest.mark.parametrize(
    ("source", "fps", "expected"), [(30, 10, 10), (30, 20, 20), (30, 30, 30), (15, 30, 15), (25, 1, 1)]
)
def test_a_pacer_takes_as_many_as_asked_for(source: int, fps: float, expected: int) -> None:
    pacer = Pacer(fps)
    # Frames come up to 3 ms early or late.
    taken = [n for n in range(source * 20) if pacer.takes(1e9 + n / source + (n * 7 % 7 - 3) / 1000)]
    assert len(taken) / 20 == pytest.approx(expected, rel=0.05, abs=0.06)


def test_a_clock_set_back_does_not_stop_it() -> None:
    pacer = Pacer(1)
    assert [pacer.takes(t) for t in (1000.0, 1000.5, 1001.0, 500.0, 500.5, 501.0)] == [
        True,
        False,
        True,
        True,
        False,
        True,
    ]


@given(st.floats(0.01, 240), st.lists(st.floats(0, 1e9), max_size=50))
def test_no_pacer_is_ever_stuck(fps: float, times: list[float]) -> None:
    pacer = Pacer(fps)
    for time in times:
        pacer.takes(time)
    last = max(times, default=0.0)
    assert any(pacer.takes(last + n / fps) for n in range(1, 4))


def test_shapes_are_told_apart_by_their_keys() -> None:
    assert len({Shape(w, f).key for w in (0, 160, 320) for f in (0.0, 1.0, 12.5)}) == 9

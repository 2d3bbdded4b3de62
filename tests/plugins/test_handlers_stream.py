from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops_plugins.handlers.fanout import AS_IT_IS, Shape
from vidops_plugins.handlers.stream import shape_of


@pytest.mark.parametrize(
    ("asked", "shape"),
    [
        ({}, AS_IT_IS),
        ({"action": "stream"}, AS_IT_IS),
        ({"width": "320"}, Shape(320)),
        ({"width": "321", "fps": "5"}, Shape(320, 5.0)),
        ({"fps": "12.504"}, Shape(None, 12.5)),
    ],
)
def test_what_a_query_asks_for(asked: dict[str, str], shape: Shape) -> None:
    assert shape_of(asked) == shape


@pytest.mark.parametrize("width", ["", "0", "15", "8193", "-1", "1e3", "320.0", "٣٢٠", "99999999999", "x"])
def test_a_width_that_is_none(width: str) -> None:
    with pytest.raises(ValueError, match="a whole number of pixels between 16 and 8192"):
        shape_of({"width": width})


@pytest.mark.parametrize("fps", ["", "0", "0.001", "241", "nan", "inf", "1/2", "-5", "5.", "1e1"])
def test_a_rate_that_is_none(fps: str) -> None:
    with pytest.raises(ValueError, match=r"a number of frames a second between 0\.01 and 240"):
        shape_of({"fps": fps})


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_a_shape_or_told(width: str, fps: str) -> None:
    try:
        shape = shape_of({"width": width, "fps": fps})
    except ValueError:
        return
    assert shape.width is not None
    assert shape.fps is not None
    assert 16 <= shape.width <= 8192
    assert 0 < shape.fps <= 240

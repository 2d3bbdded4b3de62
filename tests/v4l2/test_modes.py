"""Modes: what a driver lists, and whether it is what an entry asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.v4l2.driver import Driver, webcam
from vidops.ports import VideoMode
from vidops.resources.modes import refusal, sizes_of
from vidops.v4l2 import node, query
from vidops.v4l2.modes import MOST_SIZES, modes
from vidops.v4l2.query import query_node


def test_a_webcams_modes() -> None:
    found = modes(webcam())
    assert found[0] == VideoMode("mjpeg", "Motion-JPEG", (1280, 1280, 1), (720, 720, 1), (30.0, 15.0))
    assert [(m.format, m.widths[0], m.rates) for m in found] == [
        ("mjpeg", 1280, (30.0, 15.0)),
        ("mjpeg", 640, (60.0, 30.0, 15.0)),
        ("yuyv422", 640, (30.0, 15.0)),
        ("yuyv422", 1280, (10.0, 5.0)),
    ]
    assert sizes_of(found)[1] == {
        "format": "yuyv422",
        "description": "YUYV 4:2:2",
        "sizes": [
            {"width": 640, "height": 480, "rates": [30.0, 15.0]},
            {"width": 1280, "height": 720, "rates": [10.0, 5.0]},
        ],
    }


def test_a_range_of_sizes() -> None:
    driver = Driver(sizes=[("GREY", "8-bit Greyscale", [])], stepwise=(16, 1920, 16, 16, 1080, 8))
    (mode,) = modes(driver)
    assert mode == VideoMode("gray", "8-bit Greyscale", (16, 1920, 16), (16, 1080, 8), (60.0, 1.0))
    assert refusal([mode], format="gray", size="640x480", rate=25) == ""
    assert "nearest are 640x480 gray at 60/s" in refusal([mode], format="gray", size="650x481", rate=None)
    assert "the nearest are 1920x1080" in refusal([mode], format=None, size="3840x2160", rate=None)
    assert "60/s, 1/s" in refusal([mode], format=None, size="640x480", rate=120)


def test_a_driver_that_never_ends_is_ended() -> None:
    endless = Driver(sizes=[("MJPG", "x", [(n, n, []) for n in range(1, 1000)])])
    assert len(modes(endless)) == MOST_SIZES


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("mjpeg", "1280x720", 30.0), ""),
        (("mjpeg", "1280x720", 29.97), ""),
        (("mjpeg", None, 60.0), ""),
        ((None, "640x480", None), ""),
        ((None, None, None), ""),
        (("mjpeg", "1280x720", 60.0), "does not deliver 1280x720 mjpeg at 60/s; at this size it has 30/s, 15/s"),
        (("yuyv422", "1280x720", 30.0), "at this size it has 10/s, 5/s"),
        (("mjpeg", "1920x1080", None), "1920x1080 mjpeg; the nearest are 1280x720 mjpeg at 30/s, 640x480"),
        (("h264", "1280x720", None), "does not deliver h264; it has mjpeg, yuyv422"),
    ],
)  # fmt: skip
def test_what_is_asked_for(asked: tuple[str | None, str | None, float | None], says: str) -> None:
    kind, size, rate = asked
    said = refusal(modes(webcam()), format=kind, size=size, rate=rate)
    assert says in said
    assert bool(said) == bool(says)


def test_a_device_that_tells_nothing_is_believed() -> None:
    assert refusal([], format="mjpeg", size="1x1", rate=1.0) == ""


known = st.builds(
    VideoMode,
    st.sampled_from(["mjpeg", "yuyv422"]),
    st.just(""),
    st.integers(1, 4000).map(lambda n: (n, n, 1)),
    st.integers(1, 4000).map(lambda n: (n, n, 1)),
    st.lists(st.floats(1, 120), max_size=3).map(lambda r: tuple(sorted(r, reverse=True))),
)


@given(st.lists(known, min_size=1, max_size=6), st.data())
def test_what_it_has_is_never_refused(modes: list[VideoMode], data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(modes))
    rate = data.draw(st.sampled_from([None, *mode.rates]))
    size = f"{mode.widths[0]}x{mode.heights[0]}"
    assert refusal(modes, format=mode.format, size=size, rate=rate) == ""
    assert refusal(modes, format=mode.format, size="4001x4001", rate=rate) != ""


def test_what_ffmpeg_has_no_name_for_is_left_out() -> None:
    odd = Driver(sizes=[("XYZ0", "odd", [(640, 480, [30])]), ("MJPG", "x", [(640, 480, [30])])])
    assert [m.format for m in modes(odd)] == ["mjpeg"]


def test_a_device_that_comes_again_is_not_asked_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = webcam()
    monkeypatch.setattr(node, "opened", driver.opened)
    monkeypatch.setattr(query, "_known", {})
    first = query_node("/dev/null")
    asked = driver.calls
    assert query_node("/dev/null") == first
    assert driver.calls - asked < asked / 2
    # With another signal it has other sizes.
    driver.sizes[0] = ("MJPG", "Motion-JPEG", [(1920, 1080, [30])])
    changed = query_node("/dev/null")
    assert changed is not None
    assert changed.modes[0].widths == (1920, 1920, 1)

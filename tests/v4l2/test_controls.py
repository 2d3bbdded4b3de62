"""Controls: what a driver tells of them, and which values they take."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.v4l2.driver import Driver, Knob, webcam
from vidops.ports import ControlFacts
from vidops.resources.controls import number_for, numbers_for, to_json
from vidops.v4l2.controls import controls, name_of, read, refusal, write


def test_a_webcams_controls() -> None:
    found = {c.name: c for c in controls(webcam())}
    # Texts have no number, and are left out.
    assert list(found) == [
        "brightness", "horizontal_flip", "power_line_frequency", "exposure_auto", "exposure_time_absolute", "pan_reset",
        "link_frequency",
    ]  # fmt: skip
    assert found["brightness"] == ControlFacts(0x00980900, "brightness", "Brightness", "integer", -64, 64, 1, 0, 10)
    assert found["exposure_auto"].menu == ((1, "Manual Mode"), (3, "Aperture Priority Mode"))
    assert found["exposure_time_absolute"].inactive
    assert found["pan_reset"].value is None
    assert found["link_frequency"].menu == ((0, "456000000"), (1, "912000000"))
    assert found["link_frequency"].read_only


def test_as_json() -> None:
    found = {c.name: to_json(c) for c in controls(webcam())}
    assert found["horizontal_flip"]["value"] is False
    assert found["power_line_frequency"]["menu"][1] == {"value": 1, "name": "50 Hz"}


def test_a_driver_that_goes_round_in_circles_is_left() -> None:
    class Circle(Driver):
        def _query(self, data: bytes) -> bytes:
            return super()._query(b"\0\0\0\x80" + data[4:])

    assert [c.name for c in controls(Circle(knobs=[Knob(1, "A")]))] == ["a"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Brightness", "brightness"),
        ("Exposure, Auto", "exposure_auto"),
        ("White Balance Temperature, Auto", "white_balance_temperature_auto"),
        ("Focus (absolute)", "focus_absolute"),
    ],
)
def test_names_are_v4l2_ctls(title: str, name: str) -> None:
    assert name_of(title) == name


@pytest.mark.parametrize(
    ("name", "wanted", "number"),
    [
        ("brightness", -64, -64),
        ("brightness", 64, 64),
        ("horizontal_flip", True, 1),
        ("horizontal_flip", 0, 0),
        ("power_line_frequency", "50 Hz", 1),
        ("power_line_frequency", "60 hz", 2),
        ("power_line_frequency", 0, 0),
        ("exposure_auto", "manual", 1),
        ("exposure_auto", "Aperture Priority Mode", 3),
        ("exposure_time_absolute", 251, 251),
        ("pan_reset", True, 1),
    ],
)
def test_values_that_fit(name: str, wanted: Any, number: int) -> None:
    found = {c.name: c for c in controls(webcam())}
    assert number_for(found[name], wanted) == number


@pytest.mark.parametrize(
    ("name", "wanted", "says"),
    [
        ("brightness", 65, "brightness is a number from -64 to 64, not 65"),
        ("brightness", "high", "brightness is a number from -64 to 64, not 'high'"),
        ("brightness", True, "not true"),
        ("horizontal_flip", 2, "horizontal_flip is true or false, not 2"),
        ("power_line_frequency", 3, "one of Disabled (0), 50 Hz (1), 60 Hz (2), not 3"),
        ("power_line_frequency", True, "not true"),
        ("exposure_auto", 2, "one of Manual Mode (1), Aperture Priority Mode (3), not 2"),
        ("exposure_auto", "", "not ''"),
        ("exposure_time_absolute", 252, "goes in steps of 4: 251 or 255, not 252"),
        ("pan_reset", 1, "true presses it"),
        ("link_frequency", 0, "can only be read"),
        ("brightnes", 1, "the device has no control brightnes; did you mean brightness?"),
        ("zoom", 1, "the device has no control zoom; it has brightness, horizontal_flip"),
    ],
)
def test_values_that_do_not(name: str, wanted: Any, says: str) -> None:
    chosen, wrong = numbers_for(controls(webcam()), {name: wanted})
    assert chosen == []
    assert len(wrong) == 1
    assert says in wrong[0]


def test_automatic_modes_are_set_before_what_they_rule() -> None:
    chosen, wrong = numbers_for(controls(webcam()), {"exposure_time_absolute": 3, "exposure_auto": "manual"})
    assert not wrong
    assert [control.name for control, _ in chosen] == ["exposure_auto", "exposure_time_absolute"]


values = st.one_of(st.booleans(), st.integers(), st.text(max_size=12))


@given(st.sampled_from(controls(webcam())), values)
def test_what_is_taken_is_in_the_controls_range(control: ControlFacts, wanted: Any) -> None:
    try:
        number = number_for(control, wanted)
    except ValueError:
        return
    if control.type == "button":
        assert number == 1
    elif control.menu:
        assert number in dict(control.menu)
    else:
        assert control.minimum <= number <= control.maximum
        assert (number - control.minimum) % control.step == 0


def test_reading_and_writing() -> None:
    driver = webcam()
    write(driver, 0x00980900, -7)
    assert read(driver, 0x00980900) == -7
    with pytest.raises(OSError, match="Invalid"):
        read(driver, 1)


def test_refusals_say_what_they_mean() -> None:
    assert "another program" in refusal(OSError(errno.EBUSY, ""))
    assert "automatic" in refusal(OSError(errno.EIO, ""))
    assert refusal(OSError(errno.ENOMEM, "Cannot allocate memory")).endswith("Cannot allocate memory")

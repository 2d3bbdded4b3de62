from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.conftest import camera_json
from vidops.hub.document import parse_camera
from vidops.reconcile.drivers import camera_json as control_plane_json
from vidops.resources.specs import OnDemand, Program, SourceSpec


def test_what_the_control_plane_writes_is_understood() -> None:
    spec = SourceSpec(
        camera="door",
        program=Program(argv=("true",)),
        on_demand=OnDemand(close_after=3.0),
        start_timeout=4,
        stall_timeout=2,
    )
    rules = parse_camera(control_plane_json(spec, "source.door")).rules
    assert (rules.program, rules.close_after, rules.start_timeout, rules.stall_timeout) == ("source.door", 3.0, 4, 2)
    assert rules.fingerprint
    assert rules.restart == spec.restart


def test_no_on_demand_is_always_on() -> None:
    assert parse_camera(camera_json("door", None, on_demand=None)).rules.close_after is None


def test_keys_of_a_newer_control_plane_are_passed_over() -> None:
    assert parse_camera(camera_json("door", None, shutter="fast")).name == "door"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "../../etc"}, "name"),
        ({"name": 3}, "name"),
        ({"program": "capture.door"}, "source.door"),
        ({"stall_timeout": 0}, "stall_timeout"),
        ({"start_timeout": float("inf")}, "start_timeout"),
        ({"start_timeout": "soon"}, "start_timeout"),
        ({"restart": {"base": "x"}}, "restart.base"),
        ({"description": []}, "description"),
    ],
)
def test_bad_words_are_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_camera({**camera_json("door", None), **change})
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(sorted(camera_json("door", None))))
def test_anything_else_is_a_value_error(value: Any, key: str) -> None:
    for data in (value, {**camera_json("door", None), key: value}):
        with contextlib.suppress(ValueError):
            parse_camera(data)

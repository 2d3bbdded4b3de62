from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.api import DeviceFacts
from vidops_plugins.sources.match import Match, describe, find, matches

CAMERA = DeviceFacts(
    device_path="/dev/video0",
    device_name="Acme Webcam C1: Acme",
    driver="uvcvideo",
    bus_info="usb-0000:00:14.0-1",
    serial="SN0001",
    usb_id="046d:0825",
    id_path="pci-0000:00:14.0-usb-0:1:1.0",
    path_by_id="/dev/v4l/by-id/usb-Acme-video-index0",
    path_by_path="/dev/v4l/by-path/pci-usb-0:1",
    udev=(("ID_VENDOR", "Acme"), ("ID_V4L_CAPABILITIES", ":capture:")),
)


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ({"driver": "uvcvideo"}, True),
        ({"driver": "vivid"}, False),
        ({"driver": "uvc*"}, False),
        ({"name": "Acme*"}, True),
        ({"name": "acme*"}, False),
        ({"name": "Acme"}, False),
        ({"serial": "SN0001"}, True),
        ({"serial": "SN0002"}, False),
        ({"usb": "046d:0825"}, True),
        ({"usb": "046d:0826"}, False),
        ({"bus_info": "usb-0000:00:14.0-1"}, True),
        ({"id_path": "pci-0000:00:14.0-usb-0:1:1.0"}, True),
        ({"by_id": "/dev/v4l/by-id/usb-Acme-video-index0"}, True),
        ({"by_path": "/dev/v4l/by-path/pci-usb-0:1"}, True),
        ({"udev": {"ID_VENDOR": "A*"}}, True),
        ({"udev": {"ID_VENDOR": "A*", "ID_MODEL": "?*"}}, False),
        ({"udev": {"ID_MODEL": ""}}, True),
        ({"driver": "uvcvideo", "serial": "SN0002"}, False),
        ({"any_of": [{"serial": "SN0002"}, {"name": "Acme*"}]}, True),
        ({"any_of": [{"serial": "SN0002"}]}, False),
        ({"all_of": [{"serial": "SN0001"}, {"name": "Acme*"}]}, True),
        ({"all_of": [{"serial": "SN0001"}, {"name": "Other*"}]}, False),
        ({"not": {"serial": "SN0001"}}, False),
        ({"driver": "uvcvideo", "not": {"serial": "SN0002"}}, True),
        ({"not": {"any_of": [{"serial": "x"}, {"not": {"driver": "uvcvideo"}}]}}, True),
    ],
)
def test_what_matches(match: dict[str, Any], holds: bool) -> None:
    assert matches(Match.model_validate(match), CAMERA) is holds


def test_descriptions_read_well() -> None:
    match = Match.model_validate(
        {"driver": "uvcvideo", "serial": "1", "udev": {"ID_X": "y*"}, "any_of": [{"name": "A*"}, {"usb": "046d:0825"}]}
    )
    assert describe(match) == "serial 1, driver uvcvideo, ID_X=y*, any of (name A*; usb 046d:0825)"
    assert describe(Match.model_validate({"not": {"serial": "1"}})) == "not (serial 1)"


devices = st.lists(
    st.builds(
        DeviceFacts,
        device_path=st.sampled_from([f"/dev/video{n}" for n in range(6)]),
        driver=st.sampled_from(["uvcvideo", "vivid"]),
        serial=st.sampled_from(["", "1", "2"]),
        id_path=st.sampled_from(["", "a", "b"]),
    ),
    max_size=6,
    unique_by=lambda d: d.device_path,
)
wishes = st.recursive(
    st.builds(Match, driver=st.sampled_from(["uvcvideo", "vivid"]), serial=st.sampled_from([None, "1", "2"])),
    lambda inner: st.builds(Match, any_of=st.lists(inner, min_size=1, max_size=2), all_of=st.lists(inner, max_size=2)),
    max_leaves=4,
)


@given(wishes, devices, st.randoms())
def test_what_is_found_does_not_depend_on_the_order_of_the_scan(
    match: Match, seen: list[DeviceFacts], dice: Any
) -> None:
    shuffled = list(seen)
    dice.shuffle(shuffled)
    assert find(match, seen) == find(match, shuffled)


@given(wishes, devices)
def test_not_is_the_complement(match: Match, seen: list[DeviceFacts]) -> None:
    opposite = Match.model_validate({"not": match.model_dump(by_alias=True, exclude_unset=True)})
    found = {d.device_path for d in find(match, seen)}
    others = {d.device_path for d in find(opposite, seen)}
    assert found | others == {d.device_path for d in seen}
    assert not found & others

"""Some forty hosts, pretended by umockdev, seen through real udev by the real scanners."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.devices.layouts import LAYOUTS, Layout
from tests.devices.wrapper import needs_umockdev, printed

pytestmark = [pytest.mark.integration, needs_umockdev]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What vidops makes of every layout, by its name."""
    found = map(json.loads, printed("tests.devices.layouts"))
    return {layout.name: what for layout, what in zip(LAYOUTS, found, strict=True)}


@pytest.mark.parametrize("layout", LAYOUTS, ids=[layout.name for layout in LAYOUTS])
def test_whose_each_device_is(layout: Layout, seen: dict[str, Any]) -> None:
    found = seen[layout.name]
    assert found["cameras"] == layout.cameras
    devices = {d["device_path"]: d for d in found["report"]["devices"]}
    assert {path: d["role"] for path, d in devices.items()}.items() >= layout.roles.items()
    # Every node that an entry does not have says why, and each was seen by a scanner.
    owned = {path for path in layout.cameras.values() if path.startswith("/dev")}
    assert {path for path, d in devices.items() if d["camera"]} == owned
    assert all(d["scanners"] for d in devices.values())
    for entry in found["report"]["entries"]:
        assert devices.keys() == set(entry["matches"]) | entry["why_not"].keys()
        assert all(entry["why_not"].values())


def test_nodes_of_one_camera_are_one_group(seen: dict[str, Any]) -> None:
    groups = {d["group"] for d in seen["a camera with two capture nodes"]["report"]["devices"]}
    assert groups == {"/devices/pci0000:00/0000:00:14.0/usb1/1-1"}


def test_who_saw_what(seen: dict[str, Any]) -> None:
    scanners = {d["device_path"]: d["scanners"] for d in seen["CSI and USB together"]["report"]["devices"]}
    assert scanners["/dev/video0"] == ["v4l2", "csi"]
    assert scanners["/dev/video1"] == ["v4l2"]

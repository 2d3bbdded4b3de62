"""`vidops devices` as people see it, on a host that umockdev pretends."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.devices.wrapper import needs_umockdev, printed

pytestmark = [pytest.mark.integration, needs_umockdev]


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    (line,) = printed("tests.devices.cli_child")
    found: dict[str, Any] = json.loads(line)
    return found


def test_what_is_plugged_in(said: dict[str, Any]) -> None:
    rows = said["plain"].splitlines()
    assert rows[0].split() == ["DEVICE", "CAMERA", "NAME", "DRIVER", "SERIAL", "PORT", "MODES", "ROLE", "SEEN", "BY"]
    assert [row.split()[0] for row in rows if row.startswith("/dev/video")][:2] == ["/dev/video0", "/dev/video2"]
    assert "/dev/video1 " not in said["plain"]
    assert "/dev/video1 " in said["all"]


def test_whose_it_is_and_why_not(said: dict[str, Any]) -> None:
    (door,) = [row.split() for row in said["matched"].splitlines() if row.startswith("/dev/video0 ")][:1]
    assert door[1] == "door"
    assert "yard: no device with serial SN9; there is /dev/video0 (Acme C1, serial SN1)" in said["matched"]
    assert "yard: not /dev/video0: serial is SN1, not SN9" in said["matched"]
    devices = {d["device_path"]: d for d in said["json"]["devices"]}
    assert devices["/dev/video0"]["camera"] == "door"
    assert devices["/dev/video2"]["camera"] is None
    assert devices["/dev/video0"]["udev"]["ID_SERIAL_SHORT"] == "SN1"


def test_entries_are_suggested_that_outlive_a_boot(said: dict[str, Any]) -> None:
    assert yaml.safe_load(said["suggested"]) == {
        "devices": {
            "acme-c1": {"source": "v4l2", "match": {"driver": "uvcvideo", "serial": "SN1"}},
            "acme-c1-2": {"source": "v4l2", "match": {"driver": "uvcvideo", "id_path": said["port"]}},
        }
    }
    # Beside a stack file, for what is no entry's yet.
    (entry,) = yaml.safe_load(said["suggested beside"])["devices"].values()
    assert entry["match"] == {"driver": "uvcvideo", "id_path": said["port"]}


def test_what_comes_and_goes_is_told(said: dict[str, Any]) -> None:
    told = [(event, device["device_path"], device["camera"]) for event, device in said["watched"]]
    assert sorted(told[:4]) == [
        ("present", "/dev/video0", "door"),
        ("present", "/dev/video1", None),
        ("present", "/dev/video2", None),
        ("present", "/dev/video3", None),
    ]
    assert told[4] == ("removed", "/dev/video2", None)
    assert sorted(told[5:]) == [("added", "/dev/video6", "yard"), ("added", "/dev/video7", None)]

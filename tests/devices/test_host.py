"""Capture devices: with udev and nodes that umockdev pretends, and on a host that has none."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.wrapper import needs_umockdev, printed
from vidops.ports import DeviceFacts
from vidops.resources.catalogue import ScannerType
from vidops.runtime.devices import HostDevices
from vidops.v4l2 import query
from vidops.v4l2.capability import parse_capability, query_capability
from vidops_plugins.scanners import vidops_scanners


@pytest.mark.integration
@needs_umockdev
def test_cameras_come_and_go() -> None:
    none, two, burst, one = map(json.loads, printed("tests.devices.umockdev_child"))
    assert none == []
    # In the order of their numbers, without their metadata nodes.
    assert [facts["device_path"] for facts in two] == ["/dev/video2", "/dev/video10"]
    facts = two[0]
    udev = dict(facts.pop("udev"))
    assert udev["ID_SERIAL_SHORT"] == "SN0001"
    assert "USEC_INITIALIZED" not in udev
    assert facts == {
        "device_path": "/dev/video2",
        "device_name": "Acme C1",
        "driver": "uvcvideo",
        "bus_info": "",
        "serial": "SN0001",
        "usb_id": "046d:0825",
        "id_path": "pci-0000:00:14.0-usb-0:1:1.0",
        "path_by_id": "/dev/v4l/by-id/usb-Acme_SN0001-video-index0",
        "path_by_path": "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0",
        "capabilities": ["video_capture"],
        "role": "camera",
        "group": "/devices/pci0000:00/0000:00:14.0/usb1/1-1",
        "scanners": ["v4l2"],
        "modes": [],
    }
    assert burst == {"one burst is one change": True}
    assert [facts["device_path"] for facts in one] == ["/dev/video10"]


def test_the_kernels_answer_is_read() -> None:
    whole, node = 0x80000000 | 0x00800001 | 0x04000000, 0x04200001
    data = struct.pack("16s32s32sIII12x", b"vivid", b"vivid \xff", b"platform:vivid-000", 0x60100, whole, node)
    said = parse_capability(data)
    assert (said.driver, said.card, said.bus_info) == ("vivid", "vivid \N{REPLACEMENT CHARACTER}", "platform:vivid-000")
    assert said.capabilities == ("video_capture", "streaming")
    # An old driver speaks of the whole device only.
    old = struct.pack("16s32s32sIII12x", b"", b"", b"", 0, 0x00800001, 0)
    assert parse_capability(old).capabilities == ("video_capture", "meta_capture")


@given(st.binary(min_size=104, max_size=104))
def test_any_answer_is_read(data: bytes) -> None:
    parse_capability(data)


def test_what_is_no_video_node_is_none(tmp_path: object) -> None:
    for path in ("/dev/null", "/nonexistent", "/dev", str(tmp_path)):
        assert query_capability(path) is None


async def test_a_node_is_asked_once_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(query, "_query", asked.append)

    def scan() -> Sequence[DeviceFacts]:
        for path in ("/dev/video0", "/dev/video1", "/dev/video0"):
            query.query_node(path)
        return []

    devices = HostDevices([ScannerType("one", scan), ScannerType("two", scan)])
    await devices.scan()
    assert asked == ["/dev/video0", "/dev/video1"]
    await devices.scan()
    assert asked == ["/dev/video0", "/dev/video1"] * 2
    query.query_node("/dev/video0")
    query.query_node("/dev/video0")
    assert asked[4:] == ["/dev/video0"] * 2


@pytest.mark.skipif(os.path.exists("/sys/class/video4linux"), reason="this host has video devices")
async def test_a_host_without_video_devices() -> None:
    devices = HostDevices(vidops_scanners())
    assert await devices.scan() == []
    changes = devices.changes()
    await asyncio.wait_for(anext(changes), 2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(changes), 0.3)

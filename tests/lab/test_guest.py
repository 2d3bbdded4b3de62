"""The lab itself: what the other tests take for granted of the guest."""

from __future__ import annotations

import socket

import pytest

from .guest import Guest, eventually
from .ssh import CommandFailed

pytestmark = pytest.mark.lab


def udev(guest: Guest, device: str) -> dict[str, str]:
    properties = guest.run(f"udevadm info --query=property {device}")
    return dict(line.split("=", 1) for line in properties.splitlines())


def test_two_twin_cameras_differ_in_serial_and_port_only(guest: Guest) -> None:
    first, second = udev(guest, "/dev/video0"), udev(guest, "/dev/video1")
    assert {first["ID_SERIAL_SHORT"], second["ID_SERIAL_SHORT"]} == {"VIVID000", "VIVID001"}
    assert first["ID_V4L_PRODUCT"] == second["ID_V4L_PRODUCT"]
    assert first["ID_PATH"] != second["ID_PATH"]
    links = guest.run("ls /dev/v4l/by-id /dev/v4l/by-path").split()
    assert sum("VIVID00" in link for link in links) == 2
    assert sum("platform-vivid-00" in link for link in links) == 2


def test_loopback_devices_are_there(guest: Guest) -> None:
    assert guest.run("ls /dev/video40 /dev/video41").split() == ["/dev/video40", "/dev/video41"]


def test_the_guest_reaches_nothing_outside(guest: Guest) -> None:
    """What a test proves must not hang on what a network happened to offer, this machine's own ports included."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not guest.succeeds(f"timeout 5 bash -c 'exec 3<>/dev/tcp/10.0.2.2/{port}'")


def test_a_failed_command_says_what_it_said(guest: Guest) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)exit 3.*out of paper"):
        guest.run("echo out of paper >&2; exit 3")


def test_unplugged_cameras_leave_and_come_back(guest: Guest) -> None:
    guest.unplug()
    try:
        assert not guest.succeeds("ls /dev/v4l/by-id/*VIVID000*")
    finally:
        guest.plug()
    eventually("the cameras' links", lambda: guest.succeeds("ls /dev/v4l/by-id/*VIVID001*"), within=30)

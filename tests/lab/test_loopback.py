"""A loopback graph down to the kernel: camera, filter, a virtual camera that any application can open."""

from __future__ import annotations

import re

import pytest

from .guest import Guest, eventually
from .vidops_host import HEALING_SECONDS, resources, settled

pytestmark = pytest.mark.lab

# The mean brightness (0 to 255) of a few frames, printed frame by frame.
MEASURE = "-frames:v 5 -vf format=yuvj420p,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=- -f null -"


def brightness(host: Guest, source: str) -> float:
    printed = host.run(f"timeout 60 ffmpeg -nostdin -v error {source} {MEASURE}", timeout=90)
    values = [float(v) for v in re.findall(r"YAVG=([\d.]+)", printed)]
    assert len(values) == 5, printed
    return sum(values) / len(values)


def test_the_virtual_camera_can_be_opened_as_a_camera(host: Guest) -> None:
    settled(host)
    host.run("timeout 60 v4l2-ctl -d /dev/video40 --stream-mmap --stream-count=10 --stream-to=/dev/null", timeout=90)
    capabilities = host.run("v4l2-ctl -d /dev/video40 --info")
    assert "Video Capture" in capabilities


def test_the_virtual_camera_shows_the_filtered_picture(host: Guest) -> None:
    """The filter turns the picture into its negative: bright becomes as dark as dark was bright."""
    settled(host)
    camera = brightness(host, "-f mpjpeg -i http://127.0.0.1:8080/stream/yard")
    virtual = brightness(host, "-f v4l2 -i /dev/video40")
    assert abs(camera - 127.5) > 8, "a picture whose negative is as bright as itself would prove nothing"
    assert camera + virtual == pytest.approx(255, abs=12)


def test_the_virtual_camera_outlives_its_writer(host: Guest) -> None:
    """An application that looks at the device between two writers must not make it useless for the second.

    v4l2loopback 0.12 with exclusive_caps then says that it can neither capture nor output, and the kernel refuses
    every writer: "VIDIOC_G_FMT: Invalid argument", until the module is loaded anew.
    """
    settled(host)
    writer = resources(host)["loopback/negative.out"]["pid"]
    host.run(f"kill -9 {writer}; v4l2-ctl -d /dev/video40 --info")
    eventually(
        "another writer",
        lambda: resources(host)["loopback/negative.out"]["pid"] not in (0, writer),
        within=HEALING_SECONDS,
    )
    settled(host)
    host.run("timeout 60 v4l2-ctl -d /dev/video40 --stream-mmap --stream-count=5 --stream-to=/dev/null", timeout=90)

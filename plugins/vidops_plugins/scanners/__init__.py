"""Built-in scanners: how the video devices of a host are found. What several see is one device, told by all of them."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import ScannerType, hookimpl
from vidops_plugins.scanners import csi, system, v4l2


@hookimpl
def vidops_scanners() -> Sequence[ScannerType]:
    return (
        ScannerType("v4l2", v4l2.scan, priority=30, summary="Video nodes as udev knows them: names, serials, ports."),
        ScannerType("csi", csi.scan, priority=20, summary="Cameras on a CSI bus, by media controller and driver."),
        ScannerType("system", system.scan, priority=10, summary="/dev/video* themselves, where udev is missing."),
    )

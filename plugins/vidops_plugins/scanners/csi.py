"""The `csi` scanner: cameras that are wired to the board, which have no USB ids and often no udev properties.

A video node is one where the driver of its parent, or the media controller beside it, is that of a CSI receiver.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from vidops.api import DeviceFacts, media_info, query_node, role_of

CLASS = "/sys/class/video4linux"
RECEIVERS = frozenset({
    "unicam", "bcm2835-unicam", "bcm2835-v4l2", "bm2835 mmal", "rp1-cfe", "imx-media", "imx7-csi", "mxc-isi", "rkisp1",
    "rkcif", "sun4i-csi", "sun6i-csi", "tegra-video", "tegra-capture-vi", "qcom-camss", "omap3isp", "stm32-dcmi",
    "xilinx-video", "atmel_isi", "atmel-isc", "renesas-vin", "rcar_vin", "cdns-csi2rx", "starfive-camss", "ipu6",
})  # fmt: skip
"""Drivers of receivers in the kernel's tree, by what they call themselves."""


def scan() -> Sequence[DeviceFacts]:
    """Nodes of CSI receivers."""
    try:
        names = os.listdir(CLASS)
    except OSError:
        return []
    return [facts for name in names if (facts := _facts(name)) is not None]


def _facts(name: str) -> DeviceFacts | None:
    path, home = f"/dev/{name}", os.path.realpath(f"{CLASS}/{name}")
    # .../<parent>/video4linux/videoN
    parent = os.path.dirname(os.path.dirname(home))
    driver = os.path.basename(os.path.realpath(f"{parent}/driver"))
    media = [info for m in sorted(glob.glob(f"{parent}/media*")) if (info := media_info(f"/dev/{os.path.basename(m)}"))]
    if driver not in RECEIVERS and not any(info.driver in RECEIVERS for info in media):
        return None
    if not os.path.exists(path):
        return None
    node = query_node(path)
    capabilities = node.said.capabilities if node else ("video_capture",)
    return DeviceFacts(
        device_path=path,
        device_name=node.said.card if node else _title(home),
        driver=node.said.driver if node else driver,
        bus_info=node.said.bus_info if node else f"platform:{os.path.basename(parent)}",
        serial=next((info.serial for info in media if info.serial), ""),
        id_path=f"platform-{os.path.basename(parent)}",
        capabilities=capabilities,
        role=role_of(capabilities, driver) or "other",
        group=parent.removeprefix("/sys"),
        modes=node.modes if node else (),
    )


def _title(home: str) -> str:
    try:
        with open(f"{home}/name", encoding="utf-8", errors="replace") as file:
            return file.read(200).strip()
    except OSError:
        return ""

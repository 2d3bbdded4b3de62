"""The `system` scanner: the nodes themselves. Where udev is missing (a container), they still tell what they are."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence

from vidops.api import DeviceFacts, query_node, role_of

VIDEO4LINUX = 81
"""The kernel's major number of video devices."""


def scan() -> Sequence[DeviceFacts]:
    """Nodes below /dev that can be asked; no serial and no port can be had from them."""
    return [facts for path in glob.glob("/dev/video*") if (facts := _facts(path)) is not None]


def _facts(path: str) -> DeviceFacts | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != VIDEO4LINUX or os.path.islink(path):
        return None
    node = query_node(path)
    if node is None:
        return None
    said = node.said
    return DeviceFacts(
        device_path=path,
        device_name=said.card,
        driver=said.driver,
        bus_info=said.bus_info,
        capabilities=said.capabilities,
        role=role_of(said.capabilities, said.driver) or "other",
        group=said.bus_info,
        modes=node.modes,
    )

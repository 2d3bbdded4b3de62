"""The `v4l2` scanner: every video node that udev knows, with what it knows of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

from vidops.api import DeviceFacts, query_node, role_of

SUBSYSTEM = "video4linux"
# Change with every boot or event, and say nothing of the device.
_VOLATILE = {"ACTION", "SEQNUM", "USEC_INITIALIZED", "TAGS", "CURRENT_TAGS", "UDEV_DATABASE_VERSION"}


def scan() -> Sequence[DeviceFacts]:
    """Empty where there is no libudev, or it finds nothing to look at."""
    try:
        import pyudev

        context = pyudev.Context()
    except (ImportError, OSError):
        return []
    found = []
    for device in context.list_devices(subsystem=SUBSYSTEM):
        # A device that vanishes while it is read is gone: the next event says so.
        with contextlib.suppress(LookupError, OSError, ValueError):
            node = device.device_node
            # In a container, sysfs shows devices whose nodes were not handed in.
            if node and os.path.exists(node):
                found.append(_facts(device, node))
    return found


def _facts(device: Any, path: str) -> DeviceFacts:
    properties = {_clean(key): _clean(value) for key, value in device.properties.items()}
    node = query_node(path)
    said = node.said if node else None
    capabilities = said.capabilities if said else _capabilities(properties)
    driver = said.driver if said else _driver(device)
    vendor = properties.get("ID_VENDOR_ID") or properties.get("ID_USB_VENDOR_ID", "")
    model = properties.get("ID_MODEL_ID") or properties.get("ID_USB_MODEL_ID", "")
    links = properties.get("DEVLINKS", "").split()
    return DeviceFacts(
        device_path=path,
        device_name=said.card if said else properties.get("ID_V4L_PRODUCT") or _attribute(device, "name"),
        driver=driver,
        bus_info=said.bus_info if said else "",
        serial=properties.get("ID_SERIAL_SHORT") or properties.get("ID_USB_SERIAL_SHORT", ""),
        usb_id=f"{vendor}:{model}" if vendor and model else "",
        id_path=properties.get("ID_PATH", ""),
        path_by_id=_link(links, "/dev/v4l/by-id/"),
        path_by_path=_link(links, "/dev/v4l/by-path/"),
        capabilities=capabilities,
        udev=tuple(sorted((key, value) for key, value in properties.items() if key not in _VOLATILE)),
        role=role_of(capabilities, driver) or ("other" if said else "metadata"),
        group=_group(device),
        modes=node.modes if node else (),
    )


def _capabilities(properties: dict[str, str]) -> tuple[str, ...]:
    """udev's words, for a node that cannot be asked itself; they are as old as the node's arrival."""
    words = properties.get("ID_V4L_CAPABILITIES", "").strip(":").split(":")
    return tuple({"capture": "video_capture"}.get(word, word) for word in words if word)


def _group(device: Any) -> str:
    """The device that a node is one of: its parent, or of a USB interface that one's parent."""
    parent = device.parent
    if parent is not None and parent.device_type == "usb_interface" and parent.parent is not None:
        parent = parent.parent
    return str(parent.device_path) if parent is not None else ""


def _link(links: list[str], prefix: str) -> str:
    """The first link below `prefix`; one device can have two by-path ones, of which "-usbv2-" is the newer kind."""
    return min(
        (link for link in links if link.startswith(prefix)), key=lambda link: ("-usbv" in link, link), default=""
    )


def _driver(device: Any) -> str:
    for parent in device.ancestors:
        if parent.driver:
            return str(parent.driver)
    return ""


def _attribute(device: Any, name: str) -> str:
    try:
        return _clean(device.attributes.asstring(name))
    except (KeyError, UnicodeDecodeError):
        return ""


def _clean(text: str) -> str:
    """udev's strings are bytes of any kind; what is no text must not break whoever writes it down."""
    return text.encode("utf-8", "replace").decode()

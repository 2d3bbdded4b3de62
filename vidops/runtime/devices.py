"""`ports.Devices` through udev: the host's capture nodes and news of them.

Where there is no udev (a container), sysfs and the nodes themselves still tell most; where there are no video
devices at all, there is an empty list and no news.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from vidops.ports import DeviceFacts
from vidops.runtime.v4l2 import Capability, query_capability

SUBSYSTEM = "video4linux"
DEBOUNCE = 0.1
"""Seconds of quiet that end a burst of events: one camera brings several nodes."""
LONGEST_BURST = 1.0
"""Seconds after which a burst counts as over, however noisy."""

_CAPTURE = {"video_capture", "video_capture_mplane"}
# A codec's node captures, too, but from memory.
_NO_CAMERA = {"video_m2m", "video_m2m_mplane"}
# Change with every boot or event, and say nothing of the device.
_VOLATILE = {"ACTION", "SEQNUM", "USEC_INITIALIZED", "TAGS", "CURRENT_TAGS", "UDEV_DATABASE_VERSION"}


class UdevDevices:
    """The capture devices of this host."""

    async def scan(self) -> Sequence[DeviceFacts]:
        """All nodes that deliver video, in the order of their numbers; metadata and output nodes are left out."""
        return await asyncio.to_thread(scan)

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yields after each burst of udev events of video nodes; where there is no udev, waits for ever."""
        monitor = _monitor()
        if monitor is None:
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def drain() -> None:
            try:
                while monitor.poll(timeout=0) is not None:
                    news.set()
            except OSError:
                # ENOBUFS: so many that the kernel dropped some. That is news, too.
                news.set()

        loop.add_reader(monitor.fileno(), drain)
        try:
            while True:
                await news.wait()
                await _quiet(news)
                yield
        finally:
            loop.remove_reader(monitor.fileno())


async def _quiet(news: asyncio.Event) -> None:
    """Return when no more news has come for a while, or it has gone on for too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_BURST):
            while True:
                news.clear()
                try:
                    await asyncio.wait_for(news.wait(), DEBOUNCE)
                except TimeoutError:
                    return


def scan() -> list[DeviceFacts]:
    """`UdevDevices.scan`, blocking."""
    context = _context()
    if context is None:
        return []
    found = []
    for device in context.list_devices(subsystem=SUBSYSTEM):
        # A device that vanishes while it is read is gone: the next event says so.
        with contextlib.suppress(LookupError, OSError, ValueError):
            node = device.device_node
            # In a container, sysfs shows devices whose nodes were not handed in.
            if node and os.path.exists(node):
                facts = _facts(device, node)
                if facts is not None:
                    found.append(facts)
    return sorted(found, key=lambda facts: _number(facts.device_path))


def _facts(device: Any, node: str) -> DeviceFacts | None:
    """None for what delivers no video."""
    properties = {_clean(key): _clean(value) for key, value in device.properties.items()}
    said = query_capability(node)
    capabilities = _capabilities(said, properties)
    if not _CAPTURE & set(capabilities) or _NO_CAMERA & set(capabilities):
        return None
    vendor = properties.get("ID_VENDOR_ID") or properties.get("ID_USB_VENDOR_ID", "")
    model = properties.get("ID_MODEL_ID") or properties.get("ID_USB_MODEL_ID", "")
    links = properties.get("DEVLINKS", "").split()
    return DeviceFacts(
        device_path=node,
        device_name=said.card if said else properties.get("ID_V4L_PRODUCT") or _attribute(device, "name"),
        driver=said.driver if said else _driver(device),
        bus_info=said.bus_info if said else "",
        serial=properties.get("ID_SERIAL_SHORT") or properties.get("ID_USB_SERIAL_SHORT", ""),
        usb_id=f"{vendor}:{model}" if vendor and model else "",
        id_path=properties.get("ID_PATH", ""),
        path_by_id=_link(links, "/dev/v4l/by-id/"),
        path_by_path=_link(links, "/dev/v4l/by-path/"),
        capabilities=capabilities,
        udev=tuple(sorted((key, value) for key, value in properties.items() if key not in _VOLATILE)),
    )


def _capabilities(said: Capability | None, properties: dict[str, str]) -> tuple[str, ...]:
    """The node's own words before udev's, which are as old as the node's arrival (a v4l2loopback changes its mind)."""
    if said is not None:
        return said.capabilities
    words = properties.get("ID_V4L_CAPABILITIES", "").strip(":").split(":")
    return tuple({"capture": "video_capture"}.get(word, word) for word in words if word)


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


def _number(path: str) -> tuple[int, str]:
    digits = re.search(r"\d+$", path)
    return (int(digits[0]) if digits else -1, path)


def _context() -> Any:
    """None where there is no libudev, or it finds nothing to look at."""
    try:
        import pyudev

        return pyudev.Context()
    except (ImportError, OSError):
        return None


def _monitor() -> Any:
    context = _context()
    if context is None:
        return None
    try:
        import pyudev

        monitor = pyudev.Monitor.from_netlink(context)
        monitor.filter_by(SUBSYSTEM)
        monitor.start()
    except (OSError, ValueError):
        return None
    return monitor

"""Run under umockdev-wrapper: makes mock cameras and prints what `HostDevices` says of them, as JSON lines."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

from tests.devices.testbed import PCI, Testbed, node, usb
from vidops.runtime.devices import HostDevices
from vidops_plugins.scanners import vidops_scanners

LINKS = (
    "/dev/v4l/by-path/pci-0000:00:14.0-usbv2-0:{port}:1.0-video-index0 /dev/v4l/by-id/usb-Acme_{serial}-video-index0 "
    "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:{port}:1.0-video-index0"
)


def add(testbed: Testbed, port: str, number: int, serial: str) -> str:
    """A camera with its metadata node; the sysfs path of the first."""
    links = LINKS.format(port=port, serial=serial)
    camera = node(number, port, serial=serial, links=links, more="E: USEC_INITIALIZED=12345\n")
    testbed.add(usb(port, serial=serial) + camera + node(number + 1, port, caps=":", index=1))
    return f"{PCI}/usb1/1-{port}/1-{port}:1.0/video4linux/video{number}"


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    testbed = Testbed()
    devices = HostDevices(vidops_scanners())
    say([asdict(facts) for facts in await devices.scan() if facts.role == "camera"])
    add(testbed, "2", 10, "SN0002")
    first = add(testbed, "1", 2, "SN0001")
    say([asdict(facts) for facts in await devices.scan() if facts.role == "camera"])

    changes = devices.changes()
    await anext(changes)  # it listens
    news = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    for _ in range(5):
        testbed.uevent(first, "change")
    await asyncio.wait_for(news, 5)
    news = asyncio.ensure_future(anext(changes))
    quiet, _ = await asyncio.wait([news], timeout=0.4)
    say({"one burst is one change": not quiet})
    testbed.remove(first)
    await asyncio.wait_for(news, 5)
    await changes.aclose()
    say([asdict(facts) for facts in await devices.scan() if facts.role == "camera"])


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)

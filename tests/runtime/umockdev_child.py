"""Run under umockdev-wrapper: makes mock cameras and prints what `UdevDevices` says of them, as JSON lines."""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
from dataclasses import asdict

from vidops.runtime.devices import UdevDevices

USB = "/devices/pci0000:00/0000:00:14.0/usb1/1-{port}"

CAMERA = """\
P: {usb}
E: DEVTYPE=usb_device
E: SUBSYSTEM=usb

P: {usb}/1-{port}:1.0
E: DEVTYPE=usb_interface
E: DRIVER=uvcvideo
E: SUBSYSTEM=usb
L: driver=../../../../../../bus/usb/drivers/uvcvideo

P: {usb}/1-{port}:1.0/video4linux/video{number}
N: video{number}
E: DEVLINKS=/dev/v4l/by-path/pci-0000:00:14.0-usbv2-0:{port}:1.0-video-index0 {links}
E: DEVNAME=/dev/video{number}
E: SUBSYSTEM=video4linux
E: ID_V4L_CAPABILITIES=:capture:
E: ID_V4L_PRODUCT=Acme Camera
E: ID_VENDOR_ID=046d
E: ID_MODEL_ID=0825
E: ID_SERIAL_SHORT={serial}
E: ID_PATH=pci-0000:00:14.0-usb-0:{port}:1.0
E: USEC_INITIALIZED=12345
A: name=Acme Camera

P: {usb}/1-{port}:1.0/video4linux/video{metadata}
N: video{metadata}
E: DEVNAME=/dev/video{metadata}
E: SUBSYSTEM=video4linux
E: ID_V4L_CAPABILITIES=:
E: ID_V4L_PRODUCT=Acme Camera
A: name=Acme Camera
"""


LINKS = "/dev/v4l/by-id/usb-Acme_{serial}-video-index0 /dev/v4l/by-path/pci-0000:00:14.0-usb-0:{port}:1.0-video-index0"


class Testbed:
    """As much of libumockdev as is needed."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libumockdev.so.0")
        self.library.umockdev_testbed_new.restype = ctypes.c_void_p
        self.handle = ctypes.c_void_p(self.library.umockdev_testbed_new())

    def add(self, port: int, number: int, serial: str) -> str:
        usb = USB.format(port=port)
        links = LINKS.format(serial=serial, port=port)
        text = CAMERA.format(usb=usb, port=port, number=number, metadata=number + 1, serial=serial, links=links)
        error = ctypes.c_void_p()
        assert self.library.umockdev_testbed_add_from_string(self.handle, text.encode(), ctypes.byref(error)), text
        return f"/sys{usb}/1-{port}:1.0/video4linux/video{number}"

    def uevent(self, path: str, action: str) -> None:
        self.library.umockdev_testbed_uevent(self.handle, path.encode(), action.encode())

    def remove(self, path: str) -> None:
        self.uevent(path, "remove")
        self.library.umockdev_testbed_remove_device(self.handle, path.encode())


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    testbed = Testbed()
    devices = UdevDevices()
    say([asdict(facts) for facts in await devices.scan()])
    testbed.add(2, 10, "SN0002")
    first = testbed.add(1, 2, "SN0001")
    say([asdict(facts) for facts in await devices.scan()])

    changes = devices.changes()
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
    say([asdict(facts) for facts in await devices.scan()])


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)

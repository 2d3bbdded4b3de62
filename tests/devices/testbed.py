# ruff: noqa: E501 - lines of umockdev's format
"""As much of libumockdev as is needed: devices that this process, started below umockdev-wrapper, believes in."""

from __future__ import annotations

import ctypes

PCI = "/devices/pci0000:00/0000:00:14.0"


class Testbed:
    def __init__(self) -> None:
        self.library = ctypes.CDLL("libumockdev.so.0")
        self.library.umockdev_testbed_new.restype = ctypes.c_void_p
        self.handle = ctypes.c_void_p(self.library.umockdev_testbed_new())

    @property
    def environment(self) -> dict[str, str]:
        """What makes another process believe in them, too."""
        self.library.umockdev_testbed_get_root_dir.restype = ctypes.c_char_p
        return {"UMOCKDEV_DIR": self.library.umockdev_testbed_get_root_dir(self.handle).decode()}

    def add(self, text: str) -> None:
        """Devices in umockdev-record's format."""
        error = ctypes.c_void_p()
        assert self.library.umockdev_testbed_add_from_string(self.handle, text.encode(), ctypes.byref(error)), text

    def uevent(self, path: str, action: str) -> None:
        self.library.umockdev_testbed_uevent(self.handle, f"/sys{path}".encode(), action.encode())

    def remove(self, path: str) -> None:
        self.uevent(path, "remove")
        self.library.umockdev_testbed_remove_device(self.handle, f"/sys{path}".encode())


def usb(
    port: str, *, usb_id: str = "046d:0825", serial: str = "", interface: str = "1.0", driver: str = "uvcvideo"
) -> str:
    """A USB camera's device and interface, without nodes. `port`: "1" or, behind a hub, "1.2"."""
    vendor, model = usb_id.split(":")
    home = f"{PCI}/usb1/1-{port}"
    more = f"E: ID_SERIAL_SHORT={serial}\n" if serial else ""
    return (
        f"P: {home}\nE: DEVTYPE=usb_device\nE: SUBSYSTEM=usb\nE: ID_VENDOR_ID={vendor}\nE: ID_MODEL_ID={model}\n{more}\n"
        f"P: {home}/1-{port}:{interface}\nE: DEVTYPE=usb_interface\nE: DRIVER={driver}\nE: SUBSYSTEM=usb\n"
        f"L: driver=../../../../../bus/usb/drivers/{driver}\n\n"
    )


def node(
    number: int,
    port: str,
    *,
    name: str = "Acme C1",
    serial: str = "",
    usb_id: str = "046d:0825",
    caps: str = ":capture:",
    index: int = 0,
    interface: str = "1.0",
    links: str | None = None,
    more: str = "",
) -> str:
    """A node of a USB camera, with what udev's rules say of it."""
    vendor, model = usb_id.split(":")
    home = f"{PCI}/usb1/1-{port}/1-{port}:{interface}"
    path = f"pci-0000:00:14.0-usb-0:{port}:{interface}"
    if links is None:
        links = f"/dev/v4l/by-path/{path}-video-index{index}"
        links += f" /dev/v4l/by-id/usb-Acme_{serial}-video-index{index}" if serial else ""
    short = f"E: ID_SERIAL_SHORT={serial}\n" if serial else ""
    return (
        f"P: {home}/video4linux/video{number}\nN: video{number}\nE: DEVNAME=/dev/video{number}\nE: SUBSYSTEM=video4linux\n"
        f"E: DEVLINKS={links}\nE: ID_V4L_CAPABILITIES={caps}\nE: ID_V4L_PRODUCT={name}\nE: ID_BUS=usb\n"
        f"E: ID_VENDOR_ID={vendor}\nE: ID_MODEL_ID={model}\n{short}E: ID_PATH={path}\n{more}A: name={name}\n\n"
    )


def platform(number: int, driver: str, *, parent: str = "fe801000.csi", name: str = "unicam-image", caps: str = ":capture:",
             media: bool = False) -> str:  # fmt: skip
    """A node of a device on the board."""
    home = f"/devices/platform/soc/{parent}"
    text = (
        f"P: {home}\nE: SUBSYSTEM=platform\nE: DRIVER={driver}\nL: driver=../../../../bus/platform/drivers/{driver}\n\n"
    )
    if media:
        text += f"P: {home}/media0\nN: media0\nE: DEVNAME=/dev/media0\nE: SUBSYSTEM=media\n\n"
    return text + (
        f"P: {home}/video4linux/video{number}\nN: video{number}\nE: DEVNAME=/dev/video{number}\nE: SUBSYSTEM=video4linux\n"
        f"E: ID_V4L_CAPABILITIES={caps}\nE: ID_V4L_PRODUCT={name}\nE: ID_PATH=platform-{parent}\nA: name={name}\n\n"
    )


def virtual(number: int, *, name: str = "Dummy video device", caps: str = ":capture:") -> str:
    """A node without a parent, as v4l2loopback's."""
    return (
        f"P: /devices/virtual/video4linux/video{number}\nN: video{number}\nE: DEVNAME=/dev/video{number}\n"
        f"E: SUBSYSTEM=video4linux\nE: ID_V4L_CAPABILITIES={caps}\nE: ID_V4L_PRODUCT={name}\nA: name={name}\n\n"
    )

# ruff: noqa: E501 - a table: a host a row
"""Hosts, and which device each entry means there. `python -m tests.devices.layouts` below umockdev-wrapper prints what
vidops makes of each, as a line of JSON; `test_layouts.py` compares."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from tests.devices.testbed import Testbed, node, platform, usb, virtual
from vidops.planning.matching import devices_report
from vidops.reconcile.compiler import Compiler
from vidops.resources.catalogue import Catalogue
from vidops.resources.layout import Layout as Places
from vidops.resources.specs import SourceSpec
from vidops.runtime.devices import HostDevices
from vidops.runtime.plugins import load_catalogue


@dataclass(frozen=True)
class Layout:
    """`says`: the host, as umockdev takes it. `entries`: options of devices by name; `cameras`: what each has, or the
    reason why it has none. `roles`: of every node, where that is the point."""

    name: str
    says: str
    entries: dict[str, dict[str, Any]]
    cameras: dict[str, str]
    roles: dict[str, str] = field(default_factory=dict)


def by(**match: Any) -> dict[str, Any]:
    return {"match": match}


def webcam(number: int, port: str, serial: str = "", **more: Any) -> str:
    """A USB camera with its metadata node, as uvcvideo makes them."""
    return (
        usb(port, serial=serial)
        + node(number, port, serial=serial, **more)
        + node(number + 1, port, serial=serial, caps=":", index=1)
    )


GONE, TAKEN = "DeviceMissing", "DeviceTaken"
PORT = "pci-0000:00:14.0-usb-0:{}:1.0"
TWINS = webcam(0, "1") + webcam(2, "2")
BY_PORT = {"left": by(id_path=PORT.format("1")), "right": by(id_path=PORT.format("2"))}
SERIALS = {"left": by(serial="SN1"), "right": by(serial="SN2")}

LAYOUTS = [
    Layout("nothing is plugged in", "", {"door": by(serial="SN1")}, {"door": GONE}),
    Layout("one camera by serial", webcam(0, "1", "SN1"), {"door": by(serial="SN1")}, {"door": "/dev/video0"},
           {"/dev/video0": "camera", "/dev/video1": "metadata"}),
    Layout("by driver", webcam(0, "1", "SN1"), {"door": by(driver="uvcvideo")}, {"door": "/dev/video0"}),
    Layout("by a glob over names", webcam(0, "1"), {"door": by(name="Acme*")}, {"door": "/dev/video0"}),
    Layout("by usb id", webcam(0, "1"), {"door": by(usb="046d:0825")}, {"door": "/dev/video0"}),
    Layout("by another usb id", webcam(0, "1"), {"door": by(usb="046d:0826")}, {"door": GONE}),
    Layout("by port", webcam(0, "1"), {"door": by(id_path=PORT.format("1"))}, {"door": "/dev/video0"}),
    Layout("by by-id link", webcam(0, "1", "SN1"),
           {"door": by(by_id="/dev/v4l/by-id/usb-Acme_SN1-video-index0")}, {"door": "/dev/video0"}),
    Layout("by by-path link", webcam(0, "1"),
           {"door": by(by_path=f"/dev/v4l/by-path/{PORT.format('1')}-video-index0")}, {"door": "/dev/video0"}),
    Layout("by a path that is a link", webcam(4, "1", "SN1"),
           {"door": {"path": "/dev/v4l/by-id/usb-Acme_SN1-video-index0"}}, {"door": "/dev/video4"}),
    Layout("by udev property", webcam(0, "1", more="E: ID_MODEL=C1\n"), {"door": by(udev={"ID_MODEL": "C?"})},
           {"door": "/dev/video0"}),
    Layout("by capability", webcam(0, "1"), {"door": by(capability="video_capture")}, {"door": "/dev/video0"}),
    Layout("a capability that none has", webcam(0, "1"), {"door": by(capability="touch")}, {"door": GONE}),
    Layout("identical twins by port", TWINS, BY_PORT, {"left": "/dev/video0", "right": "/dev/video2"}),
    Layout("identical twins, renumbered", webcam(2, "1") + webcam(0, "2"), BY_PORT,
           {"left": "/dev/video2", "right": "/dev/video0"}),
    Layout("identical twins, one unplugged", webcam(2, "2"), BY_PORT, {"left": GONE, "right": "/dev/video2"}),
    Layout("twins with serials", webcam(0, "1", "SN1") + webcam(2, "2", "SN2"), SERIALS,
           {"left": "/dev/video0", "right": "/dev/video2"}),
    Layout("twins with serials, ports swapped", webcam(0, "1", "SN2") + webcam(2, "2", "SN1"), SERIALS,
           {"left": "/dev/video2", "right": "/dev/video0"}),
    Layout("twins with serials by port, ports swapped", webcam(0, "1", "SN2") + webcam(2, "2", "SN1"), BY_PORT,
           {"left": "/dev/video0", "right": "/dev/video2"}),
    Layout("one name, two devices", TWINS, {"any": by(driver="uvcvideo")}, {"any": "/dev/video0"}),
    Layout("one name, two devices, renumbered", webcam(2, "1") + webcam(0, "2"), {"any": by(driver="uvcvideo")},
           {"any": "/dev/video2"}),
    Layout("one device, two names", webcam(0, "1", "SN1"), {"one": by(serial="SN1"), "two": by(driver="uvcvideo")},
           {"one": "/dev/video0", "two": TAKEN}),
    Layout("one device by match and by path", webcam(0, "1", "SN1"), {"one": by(serial="SN1"), "two": {"path": "/dev/video0"}},
           {"one": "/dev/video0", "two": TAKEN}),
    Layout("twins, and both names mean both", TWINS, {"one": by(driver="uvcvideo"), "two": by(driver="uvcvideo")},
           {"one": "/dev/video0", "two": TAKEN}),
    Layout("behind a hub", webcam(0, "1.2", "SN1"), {"door": by(serial="SN1")}, {"door": "/dev/video0"}),
    Layout("moved behind a hub, by serial", webcam(6, "3.4.1", "SN1"), {"door": by(serial="SN1")}, {"door": "/dev/video6"}),
    Layout("moved behind a hub, by port", webcam(6, "3.4.1", "SN1"), {"door": by(id_path=PORT.format("1"))}, {"door": GONE}),
    Layout("two by-path links", usb("1") + node(
        0, "1", links=f"/dev/v4l/by-path/pci-0000:00:14.0-usbv2-0:1:1.0-video-index0 /dev/v4l/by-path/{PORT.format('1')}-video-index0"),
           {"door": by(by_path=f"/dev/v4l/by-path/{PORT.format('1')}-video-index0")}, {"door": "/dev/video0"}),
    Layout("a camera with two capture nodes", usb("1", serial="SN1") + node(0, "1", serial="SN1")
           + node(2, "1", serial="SN1", interface="1.3", name="Acme C1 IR"),
           {"colour": by(serial="SN1", name="Acme C1"), "infrared": by(serial="SN1", name="*IR")},
           {"colour": "/dev/video0", "infrared": "/dev/video2"}),
    Layout("no serial and no links", usb("1") + node(0, "1", links=""), {"door": by(name="Acme*")}, {"door": "/dev/video0"}),
    Layout("numbers beyond ten", webcam(2, "1", "SN1") + webcam(10, "2", "SN2"), SERIALS,
           {"left": "/dev/video2", "right": "/dev/video10"}),
    Layout("an output device", virtual(5, caps=":video_output:"), {"door": by(driver="uvcvideo")}, {"door": GONE},
           {"/dev/video5": "output"}),
    Layout("a codec", platform(31, "bcm2835-codec", parent="bcm2835-codec", caps=":video_m2m:"),
           {"door": by(capability="video_m2m")}, {"door": GONE}, {"/dev/video31": "codec"}),
    Layout("a CSI camera by driver", platform(0, "unicam"), {"pi": by(driver="unicam")}, {"pi": "/dev/video0"},
           {"/dev/video0": "camera"}),
    Layout("a CSI camera by port", platform(0, "rp1-cfe", parent="1f00110000.csi"),
           {"pi": by(id_path="platform-1f00110000.csi")}, {"pi": "/dev/video0"}),
    Layout("CSI and USB together", platform(0, "unicam") + webcam(1, "1", "SN1"),
           {"pi": by(driver="unicam"), "usb": by(driver="uvcvideo")}, {"pi": "/dev/video0", "usb": "/dev/video1"}),
    Layout("either of two models", webcam(0, "1", "SN7"), {"door": by(any_of=[{"serial": "SN9"}, {"name": "Acme*"}])},
           {"door": "/dev/video0"}),
    Layout("all but one", TWINS, {"other": by(driver="uvcvideo", **{"not": {"id_path": PORT.format("1")}})},
           {"other": "/dev/video2"}),
    Layout("a template", webcam(0, "1", "SN1") + webcam(2, "2", "SN2"),
           {"bench": {**by(driver="uvcvideo"), "each": "bench-{serial}"}},
           {"bench-sn1": "/dev/video0", "bench-sn2": "/dev/video2"}),
    Layout("a template without serials", TWINS, {"bench": {**by(driver="uvcvideo"), "each": "bench-{serial}"}},
           {"bench-pci-0000-00-14-0-usb-0-1-1-0": "/dev/video0", "bench-pci-0000-00-14-0-usb-0-2-1-0": "/dev/video2"}),
    Layout("a template leaves what others mean", webcam(0, "1", "SN1") + webcam(2, "2", "SN2"),
           {"bench": {**by(driver="uvcvideo"), "each": "bench-{serial}"}, "door": by(serial="SN1")},
           {"bench-sn2": "/dev/video2", "door": "/dev/video0"}),
    Layout("a template of nothing", "", {"bench": {**by(driver="uvcvideo"), "each": "bench-{serial}"}}, {}),
    Layout("a template with one name for two", webcam(0, "1", "SN1") + webcam(2, "2", "SN1"),
           {"bench": {**by(driver="uvcvideo"), "each": "bench-{serial}"}}, {"bench-sn1": "/dev/video0"}),
    Layout("strange bytes in a name", usb("1") + node(0, "1", name="Ca\tm 'é'"), {"door": by(name="Ca*")},
           {"door": "/dev/video0"}),
]  # fmt: skip


def main() -> None:
    """Every layout, each in a process of its own: a testbed is for a process's life."""
    catalogue = load_catalogue()
    for layout in LAYOUTS:
        child = os.fork()
        if child == 0:
            try:
                print(json.dumps(_seen(layout, catalogue)), flush=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


def _seen(layout: Layout, catalogue: Catalogue) -> dict[str, Any]:
    if layout.says:
        Testbed().add(layout.says)
    devices = HostDevices(catalogue.scanners.values()).scan_now()
    entries = {name: {"source": "v4l2", **options} for name, options in layout.entries.items()}
    text = json.dumps({"apiVersion": "vidops/v1", "devices": entries}).encode()
    compiler = Compiler(catalogue, {}, lambda _data, _base: Places("/run/x", "/var/x", "/data/x"), {})
    compiled = compiler.compile("/stack.yaml", lambda _: text, devices)
    specs = [r.spec for r in compiled.resources if isinstance(r.spec, SourceSpec)]
    cameras = {spec.camera: spec.device if spec.program else spec.reason for spec in specs}
    return {"cameras": cameras, "report": devices_report(devices, compiled.resources, compiled.stack, catalogue)}


if __name__ == "__main__":
    main()

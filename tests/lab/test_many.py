"""Sixteen cameras that come and go while some are watched and some recorded: in the end what vidops says is what is."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from . import footage
from .guest import Guest, eventually
from .vidops_host import HEALING_SECONDS, resources, settled
from .viewer import Viewer

CAMERAS = 16
STREAMED, RECORDED = (2, 3, 4, 5), (0, 1)
EVENTS = int(os.environ.get("VIDOPS_LAB_EVENTS", "0"))
"""How often all are unplugged or plugged, a udev event for each of the sixteen. None by default: the rest of the lab
takes its time."""
STACK_FILE = "/etc/vidops/stack.yaml"
UNITS = "vidops.service vidops-data.service"
RULES = "/etc/udev/rules.d/99-vidops-lab-many.rules"
"""After the lab's own rules, which know two cameras."""


pytestmark = [pytest.mark.lab, pytest.mark.skipif(EVENTS == 0, reason="VIDOPS_LAB_EVENTS=200 asks for it")]


def stack() -> str:
    devices = "".join(
        f"  cam{n:02}: {{source: v4l2, match: {{serial: MANY{n:02}}}, mode: {{video_size: 320x180, framerate: 5}},"
        " start_timeout: 5m}\n"
        for n in range(CAMERAS)
    )
    recorded = "".join(f"  rec{n:02}: {{device: cam{n:02}, segment: {{duration: 5s}}}}\n" for n in RECORDED)
    return (
        f"apiVersion: vidops/v1\ndevices:\n{devices}captures:\n{recorded}gateways:\n  public:\n    bind: 0.0.0.0:8080\n"
        "    routes:\n      - {path: /stream/**, handler: {type: stream}}\n"
        "      - {path: /v1/devices/**, handler: {type: devices}}\n"
    )


def vivid(host: Guest, cameras: int) -> None:
    """Load the driver anew, with so many cameras."""
    kinds = ",".join(["0x1"] * cameras)
    host.run(f"rmmod vivid && modprobe vivid n_devs={cameras} node_types={kinds} && udevadm settle", timeout=120)


@pytest.fixture
def many(host: Guest) -> Iterator[Guest]:
    """The host with sixteen cameras, and a stack file that names each."""
    before = host.run(f"cat {STACK_FILE}")
    rules = "".join(
        f'SUBSYSTEM=="video4linux", ATTR{{name}}=="vivid-{n:03}-vid-cap", ENV{{ID_SERIAL_SHORT}}="MANY{n:02}"\n'
        for n in range(CAMERAS)
    )
    host.run(f"systemctl stop {UNITS}", timeout=120)
    host.run(f"cat > {RULES} && udevadm control --reload", input=rules)
    vivid(host, CAMERAS)
    host.write(STACK_FILE, stack())
    host.run(f"systemctl start {UNITS}", timeout=120)
    yield host
    host.run(f"systemctl stop {UNITS}; rm {RULES}; udevadm control --reload", timeout=120)
    vivid(host, 2)
    host.write(STACK_FILE, before)
    host.run(f"systemctl start {UNITS}", timeout=120)
    settled(host, within=240)


def census(host: Guest) -> dict[str, tuple[int, int, int]]:
    """Of hub, gateway and control plane: open files, threads, kilobytes of memory."""
    found = {}
    pids = {name: resources(host)[name]["pid"] for name in ("hub/hub", "gateway/public")}
    pids["control"] = json.loads(host.run("vidops status -o json"))["pid"]
    for name, pid in pids.items():
        counts = host.run(
            f"ls /proc/{pid}/fd | wc -l; ls /proc/{pid}/task | wc -l; awk '/VmRSS/ {{print $2}}' /proc/{pid}/status"
        )
        files, threads, memory = map(int, counts.split())
        found[name] = (files, threads, memory)
    return found


def sources(host: Guest) -> int:
    """FFmpegs that read from a device."""
    return int(host.run("pgrep -fc '[f]fmpeg.*-f v4l2' || true").strip())


@pytest.mark.timeout(900 + 40 * EVENTS)
def test_what_is_said_is_what_is(many: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    host = many
    settled(host, within=400)
    dice = random.Random(int(os.environ.get("VIDOPS_CHAOS_SEED", "7")))
    with ExitStack() as watching:
        # A camera that is there for four seconds at most is hardly ever open in time, where all is emulated.
        patient = partial(Viewer, host.http_port, silence=600 + 10 * EVENTS)
        viewers = [watching.enter_context(patient(f"/stream/cam{n:02}")) for n in STREAMED]
        for viewer in viewers:
            viewer.wait_for(3, within=240)
        eventually("six open", lambda: sources(host) == len(STREAMED) + len(RECORDED), within=240)
        before = census(host)
        there = True
        for _ in range(EVENTS):
            (host.unplug if there else host.plug)()
            there = not there
            time.sleep(dice.choice([0.0, 0.2, 1.0, 4.0]))
        if not there:
            host.plug()
        settled(host, within=400)
        for viewer in viewers:
            viewer.wait_for(3, within=240)
            assert not viewer.ended, "its viewer stayed"
        # The registry is reality.
        report = json.loads(host.run("vidops devices -o json", timeout=120))
        said = {d["device_path"]: d["camera"] for d in report["devices"] if d["driver"] == "vivid"}
        names = host.run("cd /sys/class/video4linux && grep vivid-...-vid-cap video*/name").split()
        real = {f"/dev/{name.partition('/')[0]}": f"cam{name.partition('vivid-')[2][1:3]}" for name in names}
        assert len(real) == CAMERAS
        assert said == real
        known = {name: r for name, r in resources(host).items() if name.startswith("source/")}
        assert len(known) == CAMERAS
        # No process, file or thread too many, and memory as it was.
        eventually("six open", lambda: sources(host) == len(STREAMED) + len(RECORDED), within=HEALING_SECONDS)
        after = census(host)
        with capsys.disabled():
            print(f"\n{EVENTS} events: files, threads, kB of memory before {before}, after {after}")
        for name, (files, threads, memory) in after.items():
            assert files <= before[name][0] + 2, name
            assert threads <= before[name][1] + 2, name
            assert memory <= before[name][2] * 1.15 + 4096, name
        for n in RECORDED:
            eventually("footage", partial(footage.files, host, camera=f"cam{n:02}"), within=HEALING_SECONDS)

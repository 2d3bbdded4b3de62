"""What vidops makes of devices, on real V4L2 nodes: it lists them, sets their controls, knows their modes, and says who
has one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .guest import Guest, eventually
from .vidops_host import HEALING_SECONDS, resources, settled
from .viewer import Viewer, get

pytestmark = pytest.mark.lab

STACK_FILE = "/etc/vidops/stack.yaml"
MATCH = "    match: {serial: VIVID000}\n"


@pytest.fixture
def edited(host: Guest) -> Iterator[Guest]:
    """The host, whose stack file a test may edit."""
    settled(host)
    before = host.run(f"cat {STACK_FILE}")
    yield host
    host.write(STACK_FILE, before)
    host.run(f"vidops apply {STACK_FILE}", timeout=200)
    settled(host)


def with_door(host: Guest, more: str, old: str = "", new: str = "") -> None:
    """Give the camera `door` some more lines, and replace others."""
    text = host.run(f"cat {STACK_FILE}")
    assert MATCH in text
    assert old in text
    host.write(STACK_FILE, text.replace(old, new, 1).replace(MATCH, MATCH + more, 1))
    host.run(f"vidops apply {STACK_FILE}", timeout=200)


def node(host: Guest, serial: str = "VIVID000") -> str:
    return host.run(f"readlink -f /dev/v4l/by-id/*{serial}*").strip()


def control(host: Guest, name: str) -> str:
    """A control's value, as v4l2-ctl reads it."""
    return host.run(f"v4l2-ctl -d {node(host)} --get-ctrl {name}").strip().partition(": ")[2].split(" ")[0]


def idle(host: Guest) -> None:
    """Leave the cameras alone: nothing records or shows them, and nothing holds them open."""
    text = host.run(f"cat {STACK_FILE}")
    alone = text.partition("captures:\n")[0] + "gateways:\n" + text.partition("gateways:\n")[2]
    host.write(STACK_FILE, alone.replace(MATCH, MATCH + "    on_demand: {close_after: 0s}\n"))
    host.run(f"vidops apply {STACK_FILE}", timeout=200)
    eventually("idle", lambda: resources(host)["source/door"]["reason"] == "Idle", within=HEALING_SECONDS)


def test_every_node_is_listed_with_whose_it_is(host: Guest) -> None:
    settled(host)
    report = json.loads(host.run(f"vidops devices {STACK_FILE} -o json", timeout=60))
    devices: dict[str, Any] = {d["device_path"]: d for d in report["devices"]}
    door = devices[node(host)]
    assert (door["camera"], door["serial"], door["driver"], door["role"]) == ("door", "VIVID000", "vivid", "camera")
    assert door["scanners"] == ["v4l2", "system"]
    sizes = {(s["width"], s["height"]) for m in door["modes"] if m["format"] == "yuyv422" for s in m["sizes"]}
    assert (320, 180) in sizes
    assert devices["/dev/video40"]["role"] == "loopback"
    assert devices["/dev/video40"]["camera"] is None
    why = next(e for e in report["entries"] if e["name"] == "door")["why_not"]
    assert why[node(host, "VIVID001")] == ["serial is VIVID001, not VIVID000"]
    assert why["/dev/video40"] == ["it is a loopback: only a match that names its driver means it"]
    # The control plane says the same, and a table is for people.
    assert "VIVID000" in host.run("vidops devices", timeout=60)


def test_controls_are_the_files(edited: Guest) -> None:
    host = edited
    with Viewer(host.http_port, "/stream/door") as viewer:
        viewer.wait_for(5, within=60)
        with_door(host, "    controls: {brightness: 200, horizontal_flip: true}\n")
        assert (control(host, "brightness"), control(host, "horizontal_flip")) == ("200", "1")
        viewer.wait_for(5, within=60)
        assert not viewer.ended, "an edit of controls is live"
    settled(host)
    # A replugged device has forgotten them.
    host.unplug()
    try:
        eventually("missing", lambda: resources(host)["source/door"]["health"] == "Missing", within=HEALING_SECONDS)
    finally:
        host.plug()
    assert control(host, "brightness") == "128"
    settled(host)
    eventually("its controls again", lambda: control(host, "brightness") == "200", within=HEALING_SECONDS)
    code, body = get(host.http_port, "/v1/devices/door/controls", timeout=60)
    assert code == 200
    told = {c["name"]: c for c in json.loads(body)["controls"]}
    assert (told["brightness"]["value"], told["brightness"]["default"], told["brightness"]["maximum"]) == (
        200,
        128,
        255,
    )
    assert told["horizontal_flip"]["value"] is True
    assert (told["brightness"]["declared"], told["contrast"]["declared"]) == (True, False)


def test_a_value_that_does_not_fit_is_said(edited: Guest) -> None:
    host = edited
    with_door(host, "    controls: {brightness: 999, brightnes: 1}\n")
    door = eventually(
        "it is said",
        lambda: (s := resources(host)["source/door"])["reason"] == "ControlRefused" and s,
        within=HEALING_SECONDS,
    )
    assert "brightness is a number from 0 to 255, not 999" in door["message"]
    assert "did you mean brightness?" in door["message"]


def test_a_mode_that_it_has_not_is_said_with_the_nearest(edited: Guest) -> None:
    host = edited
    with_door(host, "", "video_size: 320x180", "video_size: 333x222")
    door = resources(host)["source/door"]
    assert (door["health"], door["reason"]) == ("Degraded", "ModeUnsupported")
    assert "333x222" in door["message"]
    assert "320x180" in door["message"]
    code, body = get(host.http_port, "/snapshot/door", timeout=60)
    assert (code, json.loads(body)["reason"]) == (503, "ModeUnsupported")


def test_who_has_a_device_is_said(edited: Guest) -> None:
    """Another program streams from the camera: the first viewer is told which, at once."""
    host = edited
    idle(host)
    device = node(host)
    # As vidops' own user: what others have open, only root sees.
    unit = "systemd-run --unit=grab --uid=vidops --property=SupplementaryGroups=video"
    host.run(f"{unit} v4l2-ctl -d {device} --stream-mmap --stream-count=100000 --stream-to=/dev/null")
    try:
        eventually("it is open", lambda: host.succeeds(f"ls -l /proc/[0-9]*/fd | grep -q {device}"), within=30)

        def told() -> dict[str, Any] | None:
            code, body = get(host.http_port, "/snapshot/door", timeout=60)
            return json.loads(body) if code == 503 else None

        problem = eventually("busy", told, within=60)
        assert problem["reason"] == "Busy", problem
        assert "(v4l2-ctl)" in problem["detail"], problem
    finally:
        host.run("systemctl stop grab")
    code, _ = get(host.http_port, "/snapshot/door", timeout=60)
    assert code == 200


HOT_PLUG = r"""
import glob, json, os, subprocess, time, urllib.request

BIND = "/sys/bus/platform/drivers/vivid/"


def say(word):
    with open(BIND + word, "w") as file:
        file.write("vivid.0")


def node():
    found = glob.glob("/dev/v4l/by-id/*VIVID000*")
    return os.path.realpath(found[0]) if found else ""


def until(what):
    while not what():
        time.sleep(0.002)


def state():
    with urllib.request.urlopen("http://127.0.0.1:8080/v1/devices/door") as answer:
        return json.load(answer)["state"]


def bare():
    say("unbind")
    until(lambda: not node())
    say("bind")
    begun = time.monotonic()
    until(node)
    command = ["ffmpeg", "-v", "error", "-f", "v4l2", "-video_size", "320x180", "-framerate", "10", "-i", node()]
    with subprocess.Popen([*command, "-c:v", "mjpeg", "-f", "mpjpeg", "-"], stdout=subprocess.PIPE) as process:
        process.stdout.read(1)
        took = time.monotonic() - begun
        process.kill()
    return took


def through_vidops():
    with urllib.request.urlopen("http://127.0.0.1:8080/stream/door") as answer:
        answer.read(4096)
        say("unbind")
        until(lambda: state() == "Missing")
        plugged = time.time()
        say("bind")
        begun = time.monotonic()
        while True:
            line = answer.readline()
            if line.lower().startswith(b"x-timestamp:") and float(line.split(b":")[1]) > plugged:
                return time.monotonic() - begun


rounds = [(bare(), through_vidops()) for _ in range(3)]
until(lambda: state() == "Idle")
print(json.dumps(rounds))
"""
"""From the return of the driver's bind (its nodes are there, udev is on its way) to the first picture's first byte."""


def test_hot_plug_to_first_picture(edited: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    host = edited
    idle(host)
    rounds = json.loads(host.run("python3 -", input=HOT_PLUG, timeout=400))
    bare, whole = (sorted(times)[1] for times in zip(*rounds, strict=True))
    with capsys.disabled():
        print(f"\nhot-plug to first picture: {whole:.2f} s; udev and a bare FFmpeg {bare:.2f} s; rounds {rounds}")
    # All of vidops' own work is emulated, too: here it is several times what it is on a host.
    assert whole < bare + 1.5

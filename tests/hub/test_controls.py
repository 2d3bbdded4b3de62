"""What a hub does with a device's controls, and what it says of devices that do not do what they should."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Any

import pytest

from tests.hub.conftest import Host, Inside, camera_json, picture, until, until_true
from tests.hub.test_session import ask
from tests.v4l2.driver import Driver, webcam
from vidops.errors import PermanentError, TemporaryError
from vidops.hub.devices import advice, device_reason, holders
from vidops.resources.specs import Program
from vidops.v4l2 import node

DEVICE = "/dev/null"
BRIGHTNESS, FREQUENCY, AUTO, EXPOSURE = 0, 2, 3, 4


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """What answers for every device."""
    made = webcam()
    monkeypatch.setattr(node, "opened", made.opened)
    return made


def value(told: Any, name: str) -> Any:
    return next(c["value"] for c in told["controls"] if c["name"] == name)


async def test_the_files_controls_are_set_at_once_and_before_each_start(inside: Inside, driver: Driver) -> None:
    wanted = {"exposure_time_absolute": 3, "exposure_auto": "manual", "brightness": -5}
    await inside.camera(device=DEVICE, controls=wanted)
    assert driver.written == [("Exposure, Auto", 1), ("Exposure Time, Absolute", 3), ("Brightness", -5)]
    # Replugged, it has forgotten everything.
    driver.written.clear()
    driver.knobs[BRIGHTNESS].value = 10
    subscription = inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    assert ("Brightness", -5) in driver.written
    assert inside.state()["reason"] == "Online"
    subscription.close()


async def test_an_edit_is_live_and_what_is_taken_out_goes_back(inside: Inside, driver: Driver) -> None:
    await inside.camera(device=DEVICE, controls={"brightness": 20, "power_line_frequency": "60 Hz"})
    subscription = inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    await inside.camera(device=DEVICE, controls={"brightness": 30})
    assert (driver.knobs[BRIGHTNESS].value, driver.knobs[FREQUENCY].value) == (30, 1)
    assert inside.processes.starts == 1
    await inside.camera(device=DEVICE)
    assert driver.knobs[BRIGHTNESS].value == 0
    subscription.close()


async def test_what_cannot_be_set_is_said_and_the_camera_works(inside: Inside, driver: Driver) -> None:
    await inside.camera(device=DEVICE, controls={"horizontal_flip": True})
    driver.written.clear()
    await inside.camera(device=DEVICE, controls={"brightness": 999, "zoom": 1, "power_line_frequency": "60 Hz"})
    subscription = inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    state = inside.state()
    assert state["reason"] == "ControlRefused"
    assert "brightness is a number from -64 to 64, not 999" in state["message"]
    assert "no control zoom" in state["message"]
    # The rest is as the file says, what was taken out included.
    assert driver.written == [("Power Line Frequency", 2), ("Horizontal Flip", 0)]
    await inside.camera(device=DEVICE, controls={"brightness": 9})
    assert (inside.state()["reason"], inside.state()["message"]) == ("Online", "")
    subscription.close()


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ({"refuses": errno.EBUSY}, "brightness 5: another program has it for itself"),
        ({"refuses": errno.EIO}, "an automatic mode"),
        ({"sticks": True}, "brightness is 10 after it was set to 5"),
    ],
)
async def test_a_device_that_does_not_take_it(
    inside: Inside, driver: Driver, trouble: dict[str, Any], says: str
) -> None:
    for name, what in trouble.items():
        setattr(driver.knobs[BRIGHTNESS], name, what)
    await inside.camera(device=DEVICE, controls={"brightness": 5})
    assert says in inside.state()["message"]
    with pytest.raises(PermanentError, match=says[:20]) as refused:
        await inside.client.set_controls("door", {"brightness": 5})
    assert refused.value.reason == "ControlRefused"


async def test_controls_are_told_and_set(inside: Inside, driver: Driver) -> None:
    await inside.camera(device=DEVICE, controls={"brightness": 1})
    told = await inside.client.controls("door")
    assert (told["device"], value(told, "brightness")) == (DEVICE, 1)
    declared = {c["name"]: c["declared"] for c in told["controls"]}
    assert declared["brightness"]
    assert not declared["exposure_auto"]
    assert told["modes"][0]["format"] == "mjpeg"
    told = await inside.client.set_controls("door", {"horizontal_flip": True, "power_line_frequency": "60 Hz"})
    assert (value(told, "horizontal_flip"), value(told, "power_line_frequency")) == (True, 2)
    with pytest.raises(PermanentError, match="from -64 to 64") as refused:
        await inside.client.set_controls("door", {"horizontal_flip": False, "brightness": 65})
    assert refused.value.reason == "ControlRefused"
    # All or nothing.
    assert driver.knobs[1].value == 1


async def test_a_device_that_is_gone(inside: Inside, driver: Driver) -> None:
    driver.gone = True
    await inside.camera(device=DEVICE, controls={"brightness": 1})
    assert "the device is gone" in inside.state()["message"]
    with pytest.raises(TemporaryError) as gone:
        await inside.client.controls("door")
    assert gone.value.reason == "DeviceError"
    with pytest.raises(TemporaryError):
        await inside.client.set_controls("door", {"brightness": 1})


async def test_a_camera_without_a_device_has_none(inside: Inside) -> None:
    await inside.camera()
    for asking in (inside.client.controls("door"), inside.client.set_controls("door", {"brightness": 1})):
        with pytest.raises(PermanentError) as refused:
            await asking
        assert refused.value.reason == "NoControls"
    with pytest.raises(PermanentError) as refused:
        await inside.client.controls("attic")
    assert refused.value.reason == "UnknownCamera"


async def test_a_new_hub_knows_the_devices_of_its_cameras(host: Host) -> None:
    """Also of one for which the stack file sets nothing: its controls can be asked for."""
    await host.camera("door", picture(host.layout, "door"), device=DEVICE)
    os.kill((await host.process("hub")).pid, signal.SIGKILL)

    async def ended() -> bool:
        return (await host.process("hub")).stopped

    await until(ended, "supervisord noticed")
    await host.supervisor.start("hub")
    assert await host.client.ready(10)
    await host.until_state("door", "Idle")
    assert (await host.client.controls("door"))["device"] == DEVICE


@pytest.mark.parametrize(
    "line",
    [
        b'{"op": "controls"}',
        b'{"op": "set_controls", "camera": "door"}',
        b'{"op": "set_controls", "camera": "door", "values": {}}',
        b'{"op": "set_controls", "camera": "door", "values": {"brightness": 1.5}}',
        b'{"op": "set_controls", "camera": "door", "values": {"brightness": [1]}}',
        b'{"op": "set_controls", "camera": "door", "values": {"brightness": "' + b"x" * 65 + b'"}}',
        b'{"op": "hold", "camera": "door"}',
        b'{"op": "hold", "camera": "door", "on": 1}',
    ],
)
async def test_what_makes_no_sense_is_refused(inside: Inside, line: bytes) -> None:
    await inside.camera()
    (answer,) = await ask(inside, line)
    assert answer["reason"] == "BadRequest"


async def test_a_held_camera_stays_open_without_viewers(inside: Inside) -> None:
    await inside.camera(on_demand={"close_after": 0.05})
    state = await inside.client.hold("door", on=True)
    assert state["held"] is True
    await inside.until_state("Online")
    assert inside.state()["viewers"] == 0
    state = await inside.client.hold("door", on=False)
    assert state["held"] is False
    await inside.until_state("Idle")


async def test_a_camera_that_is_always_on_cannot_be_let_go(inside: Inside) -> None:
    await inside.camera(on_demand=None)
    with pytest.raises(PermanentError, match="always on") as refused:
        await inside.client.hold("door", on=False)
    assert refused.value.reason == "AlwaysOn"


async def test_frames_of_another_size_are_told(inside: Inside) -> None:
    await inside.camera(size="1280x720")
    subscription = inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    state = inside.state()
    assert (state["reason"], state["message"]) == ("ModeMismatch", "it was asked for 1280x720 and delivers 16x8")
    await inside.camera(size="16x8", fingerprint="other")
    await until_true(lambda: inside.state()["reason"] == "Online", "the size it has is the one that was asked for")
    subscription.close()


async def test_a_mode_that_the_device_has_not_is_a_failed_camera(inside: Inside) -> None:
    document = camera_json("door", None, missing="the nearest are 640x480", reason="ModeUnsupported")
    await inside.client.apply(document)
    state = inside.state()
    assert (state["state"], state["reason"], state["message"]) == (
        "Failed", "ModeUnsupported", "the nearest are 640x480",
    )  # fmt: skip
    await inside.client.apply(camera_json("door", None))
    assert inside.state()["state"] == "Missing"
    await inside.camera()
    assert inside.state()["state"] == "Idle"


SAYS = "import sys; sys.stderr.write('{}'); sys.exit(1)"


@pytest.mark.parametrize(
    ("said", "state", "reason", "advice"),
    [
        ("/dev/fd/5: Device or resource busy", "Busy", "Busy", "is in use by"),
        ("ioctl(VIDIOC_STREAMON): No space left on device", "Failed", "UsbBandwidth", "no bandwidth left"),
        ("Cannot open video device: Permission denied", "Failed", "PermissionDenied", "may be opened by group root"),
    ],
)
async def test_why_a_device_does_not_open(host: Host, said: str, state: str, reason: str, advice: str) -> None:
    program = Program(argv=(sys.executable, "-c", SAYS.format(said)))
    await host.camera("door", program, device="/dev/full", on_demand=None)
    found = await host.until_state("door", state)
    assert found["reason"] == reason
    assert advice in found["message"]
    assert said.removeprefix("/dev/fd/5: ") in found["message"]


def test_reasons_of_ffmpegs_words() -> None:
    assert device_reason("[video4linux2,v4l2] ioctl(VIDIOC_S_FMT): Device or resource busy") == "Busy"
    assert device_reason("Immediate exit requested") == ""
    assert advice("Exited", "/dev/null") == ""


def test_who_has_a_device_open() -> None:
    with open("/dev/full", "rb"):
        found = dict(holders("/dev/full"))
        assert os.getpid() in found
        assert f"process {os.getpid()} (" in advice("Busy", "/dev/full")
    assert holders("/dev/full") == []
    assert "cannot be seen" in advice("Busy", "/dev/full")
    assert holders("/nonexistent") == []

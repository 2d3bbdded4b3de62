"""Real cameras (vivid behind udev and V4L2): matched, watched, recorded, unplugged and back."""

from __future__ import annotations

import json
import subprocess

import pytest

from . import footage
from .guest import Guest, eventually
from .vidops_host import HEALING_SECONDS, recordings, resources, settled
from .viewer import Viewer, get

pytestmark = pytest.mark.lab


def test_each_twin_is_matched_by_its_serial(host: Guest) -> None:
    settled(host)
    code, body = get(host.http_port, "/v1/devices")
    assert code == 200
    devices = {d["name"]: d for d in json.loads(body)["devices"]}
    assert devices["door"]["description"]["serial"] == "VIVID000"
    assert devices["yard"]["description"]["serial"] == "VIVID001"
    for name, serial in (("door", "VIVID000"), ("yard", "VIVID001")):
        assert devices[name]["description"]["device_path"] == host.run(f"readlink -f /dev/v4l/by-id/*{serial}*").strip()


@pytest.mark.parametrize("camera", ["door", "yard"])
def test_a_camera_is_watched_over_http(host: Guest, camera: str) -> None:
    settled(host)
    with Viewer(host.http_port, f"/stream/{camera}") as viewer:
        frames = viewer.wait_for(30, within=60)
    assert all(frame.whole for frame in frames)
    assert len({frame.digest for frame in frames}) > 20, "frames of a moving picture differ"


def test_a_snapshot_is_a_picture_of_the_camera(host: Guest) -> None:
    code, jpeg = get(host.http_port, "/snapshot/door", timeout=60)
    assert code == 200
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", "-"],
        input=jpeg,
        capture_output=True,
        check=True,
    )
    assert probed.stdout.decode().strip() == "mjpeg,320,180"


def test_a_camera_is_recorded(host: Guest) -> None:
    """Finished segments appear in their place, and hold every frame: 5 s at 10 a second, no gap."""
    settled(host)
    known = set(footage.files(host, camera="door"))

    def fresh() -> list[str] | None:
        new = [f for f in footage.files(host, camera="door") if f not in known]
        return new if len(new) >= 3 else None

    # The first of them may have begun before this test, beside other work: judge those after it.
    for path in eventually("three more segments", fresh, within=90)[1:3]:
        segment = footage.probe(host, path)
        assert segment.duration == pytest.approx(5, abs=1), segment
        assert segment.gap < 1.0, segment
        assert segment.frames > 35, segment
        assert footage.decodes(host, path) == ""


def test_recordings_are_indexed(host: Guest) -> None:
    """What `vidops recordings` lists is on disk, and what is on disk is listed."""
    settled(host)
    eventually("a finished segment", lambda: footage.files(host, camera="door"), within=60)
    on_disk = set(footage.files(host, camera="door"))
    listed = {f"{footage.DATA}/{path}" for path in recordings(host)}
    assert on_disk <= listed
    assert listed <= set(footage.files(host, camera="door"))


def test_unplugged_cameras_heal_when_they_are_back(host: Guest) -> None:
    settled(host)
    with Viewer(host.http_port, "/stream/door") as viewer:
        host.unplug()
        try:
            eventually(
                "the camera reported missing",
                lambda: resources(host)["source/door"]["health"] == "Missing",
                within=HEALING_SECONDS,
            )
            assert get(host.http_port, "/livez")[0] == 200, "the gateway does not depend on a camera"
        finally:
            host.plug()
        viewer.wait_for(20, within=HEALING_SECONDS)
        assert not viewer.ended, "its viewer stayed"
    settled(host)
    before = set(footage.files(host, camera="door"))
    eventually(
        "a segment recorded after the replug",
        lambda: set(footage.files(host, camera="door")) - before,
        within=HEALING_SECONDS,
    )

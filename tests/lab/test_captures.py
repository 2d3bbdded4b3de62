"""Recordings on a small disk that runs full or slow, and with sound: as a kiosk's card and microphone are."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from . import footage
from .guest import Guest, eventually
from .vidops_host import HEALING_SECONDS, data_plane, resources, settled
from .viewer import Viewer

pytestmark = pytest.mark.lab

FULL_FOR = float(os.environ.get("VIDOPS_FULL_DISK_SECONDS", "20"))
"""Seconds of recording on a full disk; the documentation's figure is of 600."""
SLOW_FOR = 20.0
STACK_FILE = "/etc/vidops/stack.yaml"
UNITS = "vidops.service vidops-data.service"
MIB = 1024 * 1024


@pytest.fixture
def small_disk(host: Guest) -> Iterator[Guest]:
    """The host with its recordings on the small disk."""
    # Whatever an ended test left there is none of this one's.
    host.run(
        f"systemctl stop {UNITS} && mkfs.ext4 -q -F -m 0 /dev/vdb && mount /dev/vdb {footage.DATA}"
        f" && rmdir {footage.DATA}/lost+found && chown vidops:vidops {footage.DATA} && chmod 750 {footage.DATA}"
        f" && systemctl start {UNITS}",
        timeout=120,
    )
    settled(host)
    yield host
    host.slow_disk(0)
    host.run(f"systemctl stop {UNITS}; umount {footage.DATA} && systemctl start {UNITS}", timeout=120)
    eventually("the disk missed", lambda: host.succeeds("vidops recordings forget-disk"), within=HEALING_SECONDS)
    settled(host)


@pytest.fixture
def edited(host: Guest) -> Iterator[Guest]:
    """The host, whose stack file a test may edit."""
    before = host.run(f"cat {STACK_FILE}")
    yield host
    host.write(STACK_FILE, before)
    host.run(f"vidops apply {STACK_FILE}", timeout=200)
    settled(host)


def capture(host: Guest, more: str) -> None:
    """Give the one capture some more lines, as an editor does."""
    text = host.run(f"cat {STACK_FILE}")
    head, found, tail = text.partition("    device: door\n")
    assert found
    host.write(STACK_FILE, f"{head}{found}{more}{tail}")
    host.run(f"vidops apply {STACK_FILE}", timeout=200)
    settled(host)


def free(host: Guest) -> int:
    """Bytes."""
    return int(host.run(f"df --output=avail -B1 {footage.DATA} | tail -n 1"))


def seconds_old(host: Guest) -> float:
    """Of the newest finished file, by the guest's own clock."""
    newest = footage.files(host, camera="door")[-1]
    return float(host.run(f"echo $(( $(date +%s) - $(stat -c %Y {newest}) ))"))


@pytest.mark.timeout(FULL_FOR + 900)
def test_a_full_disk_keeps_the_newest(small_disk: Guest, edited: Guest) -> None:
    host = small_disk
    capture(host, "    retention: {min_free: 8MiB}\n")
    eventually("footage", lambda: footage.files(host, camera="door"), within=60)
    known = set(footage.files(host, camera="door"))
    # What else is on the disk leaves room for four files or five, which is taken up within half a minute.
    host.run(f"fallocate -l $(( {free(host)} - 11 * {MIB} )) {footage.DATA}/.ballast")
    before = data_plane(host)
    eventually("the oldest going", lambda: known - set(footage.files(host, camera="door")), within=120)
    until = time.monotonic() + FULL_FOR
    while time.monotonic() < until:
        assert free(host) > 6 * MIB
        assert resources(host)["capture/door-archive"]["health"] == "Healthy"
        time.sleep(2)
    kept = footage.files(host, camera="door")
    assert len(kept) >= 3
    assert seconds_old(host) < 15
    assert data_plane(host) == before, "nothing crashed"
    for path in kept[-3:]:
        assert footage.decodes(host, path) == ""
    host.run(f"rm {footage.DATA}/.ballast")


def test_a_slow_disk_holds_no_viewer_back(small_disk: Guest) -> None:
    """Less than a third of what the camera records: the rest is not written, and nobody else notices."""
    host = small_disk
    before = data_plane(host)
    recorder = next(pid for pid, command in before.items() if ".spool/door-archive" in command)
    with Viewer(host.http_port, "/stream/door") as viewer:
        moment = viewer.wait_for(20, within=60)[-1].arrived
        host.slow_disk(16 * 1024)
        # Something else fills what the kernel would take in memory, so that writers really wait.
        host.run(f"sh -c 'dd if=/dev/zero of={footage.DATA}/.noise bs=64k count=400 2>/dev/null &' </dev/null")
        frames = len(viewer.frames)
        time.sleep(SLOW_FOR)
        assert len(viewer.frames) - frames > SLOW_FOR * 5, "ten frames a second, or the half where it is emulated"
        assert viewer.largest_gap(moment) < 2.0
        assert host.succeeds("vidops status -o json", timeout=30), "the control plane answers"
        host.slow_disk(0)
        host.run(f"rm -f {footage.DATA}/.noise", timeout=120)
        eventually("footage goes on", lambda: seconds_old(host) < 12, within=HEALING_SECONDS)
        settled(host)
        assert not viewer.ended
    others = {pid: command for pid, command in before.items() if pid != recorder}
    assert others.items() <= data_plane(host).items(), "nobody but the recorder was restarted"


@pytest.fixture
def microphone(host: Guest) -> Iterator[Guest]:
    """A sound card that plays what it hears: snd-aloop, and a tone. The units get the drop-in of the documentation."""
    drop_in = "/etc/systemd/system/vidops-data.service.d/audio.conf"
    host.run("modprobe snd-aloop && mkdir -p $(dirname " + drop_in + ")")
    host.run(f"cat > {drop_in}", input="[Service]\nSupplementaryGroups=audio\nDeviceAllow=char-alsa rw\n")
    host.run(
        "systemd-run -q --unit=tone ffmpeg -nostdin -v error -re -f lavfi -i sine=frequency=440:sample_rate=48000"
        " -ac 2 -c:a pcm_s16le -f alsa hw:Loopback,0"
    )
    host.run("systemctl daemon-reload && systemctl restart vidops-data.service", timeout=120)
    settled(host)
    yield host
    host.run(f"systemctl stop tone.service; rm {drop_in}; systemctl daemon-reload", timeout=60)
    host.run("systemctl restart vidops-data.service", timeout=120)
    settled(host)


def test_sound_is_recorded(microphone: Guest, edited: Guest) -> None:
    host = microphone
    known = set(footage.files(host, camera="door", finished=False))
    capture(host, '    audio: {alsa: "plughw:Loopback,1,0"}\n')

    def streams(path: str) -> list[str]:
        return host.run(f"ffprobe -v error -show_entries stream=codec_name -of csv=p=0 {path}").split()

    def sounding() -> str | None:
        # The recorder before may finish some more, without sound, until it is replaced.
        new = [f for f in footage.files(host, camera="door") if f not in known]
        return next((f for f in new[1:] if "aac" in streams(f)), None)

    path = eventually("a file with sound", sounding, within=120)
    assert sorted(streams(path)) == ["aac", "mjpeg"]
    heard = host.run(f"ffmpeg -nostdin -hide_banner -i {path} -vn -af volumedetect -f null - 2>&1")
    loudness = float(heard.partition("mean_volume:")[2].split()[0])
    assert loudness > -40, f"silence: {heard}"

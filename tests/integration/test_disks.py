"""Disks that run full, that are read-only, that hang: footage as good as can be, live view as if nothing was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.viewer import Viewer
from vidops.testing import Host, free_port

pytestmark = [pytest.mark.integration, pytest.mark.long]

Start = Callable[..., Host]
MIB = 1024 * 1024
FULL_FOR = float(os.environ.get("VIDOPS_FULL_DISK_SECONDS", "15"))

STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, quality: 2, mode: {{video_size: 640x360, framerate: 15}}}}
captures:
  dear: {{device: cam, priority: 5, segment: {{duration: 1s, path: "dear/%s"}}{more}}}
  cheap: {{device: cam, segment: {{duration: 1s, path: "cheap/%s"}}{more}}}
gateways:
  main:
    bind: 127.0.0.1:{port}
    routes: [{{path: /stream/**, handler: {{type: stream}}}}]
"""


class Disk:
    """A small file system of its own."""

    def __init__(self, place: Path, size: int, *options: str) -> None:
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", "mode=0700", *options)), "tmpfs", str(place)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            pytest.skip(f"needs root, to mount a small disk: {result.stderr.strip()}")

    def free(self) -> int:
        room = os.statvfs(self.place)
        return room.f_bavail * room.f_frsize

    def fill(self, left: int) -> Path:
        """A file that leaves so many bytes."""
        ballast = self.place / ".ballast"
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free() - left)
        return ballast

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.place)], check=True)

    def close(self) -> None:
        """Take it away, whoever uses it; a second time is fine."""
        subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)


@pytest.fixture
def disk_of(vidops_host: Start) -> Iterator[Callable[..., tuple[Host, Disk, int]]]:
    """A host (not started) whose recordings go to a disk of so many bytes, and the gateway's port."""
    disks = []

    def make(size: int, *options: str, more: str = "") -> tuple[Host, Disk, int]:
        port = free_port()
        host = vidops_host(STACK.format(port=port, more=more), start=False)
        disks.append(Disk(host.root / "data", size, *options))
        return host, disks[-1], port

    yield make
    for disk in disks:
        disk.close()


def newest(host: Host, capture: str) -> float:
    """When the newest finished recording of a capture ends."""
    rows = json.loads(host.cli("recordings", "--capture", capture, "-o", "json").stdout)
    return max((r["end"] for r in rows if r["finished"]), default=0.0)


def state(host: Host, capture: str) -> tuple[str, str]:
    row: dict[str, Any] = host.resource(f"capture/{capture}")
    return row["health"], row["reason"]


@pytest.mark.timeout(FULL_FOR + 180)
def test_retention_makes_room_for_the_newest(disk_of: Callable[..., tuple[Host, Disk, int]]) -> None:
    host, disk, _ = disk_of(64 * MIB, more=", retention: {min_free: 12MiB}")
    disk.fill(20 * MIB)
    host.start()
    host.healthy()
    host.until(lambda: disk.free() < 12.5 * MIB, timeout=60, what="a disk that is nearly full")
    # From here on, something old goes for everything new.
    until = time.monotonic() + FULL_FOR
    while time.monotonic() < until:
        assert disk.free() > 9 * MIB
        assert state(host, "dear")[0] == state(host, "cheap")[0] == "Healthy"
        time.sleep(0.5)
    assert time.time() - newest(host, "dear") < 5
    assert time.time() - newest(host, "cheap") < 5


def test_without_retention_the_least_dear_stops_first_and_all_go_on_by_themselves(
    disk_of: Callable[..., tuple[Host, Disk, int]],
) -> None:
    host, disk, port = disk_of(64 * MIB)
    host.start()
    host.healthy()
    viewer = Viewer(port, "cam")
    ballast = disk.fill(7 * MIB)
    try:
        host.until(lambda: state(host, "cheap") == ("Degraded", "DiskFull"), timeout=60, what="the cheap one stops")
        assert state(host, "dear")[0] == "Healthy"
        host.until(lambda: state(host, "dear") == ("Degraded", "DiskFull"), timeout=90, what="the dear one, too")
        assert disk.free() > 0
        # Nobody who watches notices.
        assert viewer.largest_gap(0) < 1
        assert host.health("source/cam") == "Healthy"
        ballast.unlink()
        host.until(lambda: state(host, "dear")[0] == state(host, "cheap")[0] == "Healthy", what="both go on")
        host.until(lambda: time.time() - newest(host, "cheap") < 5, what="new footage")
        assert not viewer.ended
        assert viewer.largest_gap(0) < 1
    finally:
        viewer.close()
    # Why there is a hole is written down with what follows it.
    rows = json.loads(host.cli("recordings", "--capture", "cheap", "-n", "1000", "-o", "json").stdout)
    assert "DiskFull" in {row["gap_reason"] for row in rows if row["finished"]}


def test_a_read_only_disk_stops_no_stream_and_is_recorded_to_when_it_is_well(
    disk_of: Callable[..., tuple[Host, Disk, int]],
) -> None:
    host, disk, port = disk_of(64 * MIB)
    disk.remount("ro")
    host.start()
    viewer = Viewer(port, "cam")
    try:
        host.until(lambda: len(viewer.arrivals) > 10, what="live pictures")
        row = host.until(lambda: r if (r := host.resource("capture/dear"))["health"] == "Degraded" else None)
        assert "read-only" in row["message"].lower()
        disk.remount("rw")
        host.until(lambda: state(host, "dear")[0] == state(host, "cheap")[0] == "Healthy", timeout=90, what="recording")
        assert not viewer.ended
        assert viewer.largest_gap(0) < 1
    finally:
        viewer.close()


def test_a_recorder_that_the_disk_holds_up_holds_up_nobody(disk_of: Callable[..., tuple[Host, Disk, int]]) -> None:
    host, _, port = disk_of(64 * MIB)
    host.start()
    host.healthy()
    viewer = Viewer(port, "cam")
    try:
        host.until(lambda: len(viewer.arrivals) > 10, what="live pictures")
        # What a write to a hanging disk looks like from outside.
        held = host.pid("capture/cheap")
        os.kill(held, signal.SIGSTOP)
        begun = time.monotonic()
        host.until(lambda: time.monotonic() - begun > 8, what="a while")
        os.kill(held, signal.SIGCONT)
        assert viewer.largest_gap(0) < 0.5
        assert time.time() - newest(host, "dear") < 5
        host.until(lambda: time.time() - newest(host, "cheap") < 5, what="it catches up")
    finally:
        viewer.close()


def test_a_disk_that_goes_away_is_waited_for_and_not_filled_below(
    disk_of: Callable[..., tuple[Host, Disk, int]],
) -> None:
    host, disk, port = disk_of(64 * MIB)
    host.start()
    host.healthy()
    host.until(lambda: newest(host, "dear"), what="footage")
    viewer = Viewer(port, "cam")
    try:
        disk.close()
        host.until(lambda: state(host, "dear") == ("Degraded", "DiskGone"), what="the disk is missed")
        host.until(lambda: not host.pid("capture/cheap"), what="nobody records")
        # The same after a start without it, as after a boot.
        host.kill()
        host.start()
        host.until(lambda: state(host, "dear") == ("Degraded", "DiskGone"), what="the disk is missed again")
        below = {p.suffix for p in disk.place.rglob("*") if p.is_file()}
        assert ".mp4" not in below
        # The fixture takes whatever is there away again.
        Disk(disk.place, 64 * MIB)
        host.until(
            lambda: state(host, "dear")[0] == state(host, "cheap")[0] == "Healthy", timeout=60, what="it is back"
        )
        host.until(lambda: time.time() - newest(host, "dear") < 5, what="new footage")
        assert not viewer.ended
        assert viewer.largest_gap(0) < 1
    finally:
        viewer.close()


def test_a_disk_that_does_not_come_back_is_forgotten(disk_of: Callable[..., tuple[Host, Disk, int]]) -> None:
    host, disk, _ = disk_of(64 * MIB)
    host.start()
    host.healthy()
    assert host.cli("recordings", "forget-disk").returncode != 0, "nothing is missing"
    disk.close()
    host.until(lambda: state(host, "dear") == ("Degraded", "DiskGone"), what="the disk is missed")
    assert host.cli("recordings", "forget-disk").returncode == 0
    host.healthy()
    host.until(lambda: time.time() - newest(host, "dear") < 5, what="new footage")

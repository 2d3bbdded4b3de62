"""The plug is pulled while recording: what that costs, and what the host is like after the next boot.

How much is lost is measured by the frames themselves. A viewer notes the digest of every frame and when it came.
The recording holds the same JPEGs (stream copy), so after the boot the newest frame that is still on the disk is
found among the viewer's, and what the cut cost is the time from its arrival to the cut: no clock of the guest, no
file name and no index is believed.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest

from . import footage
from .guest import Guest, eventually
from .vidops_host import recordings, settled
from .viewer import Viewer, get

pytestmark = pytest.mark.lab

MAY_BE_LOST = 2.0
"""Seconds of video: what the documentation promises at most."""

MOMENTS = [0.5, 3.5]
"""Seconds into a segment. `VIDOPS_POWER_CUTS=10` pulls the plug so often instead, at random ones."""
if many := os.environ.get("VIDOPS_POWER_CUTS"):
    MOMENTS = [round(random.uniform(0.1, 4.9), 2) for _ in range(int(many))]

FRAMERATE = 10
"""The camera's, in stack.yaml."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Seen from outside: `lost` seconds of video; frames that a viewer had, and those of them that were kept.

    `segments`: the files that the cut interrupted or ended, where they are now.
    """

    lost: float
    seen: int
    kept: int
    segments: list[str]


def spool(host: Guest) -> list[str]:
    """Names of the segments that are being written."""
    return host.run(f"ls {footage.DATA}/.spool/door-archive").split()


def cut_power(host: Guest, *, into_segment: float) -> Cut:
    """Pull the plug `into_segment` seconds after the recorder began a new file; boot; look at what is there."""
    with Viewer(host.http_port, "/stream/door") as viewer:
        before = spool(host)
        eventually("a new segment", lambda: set(spool(host)) - set(before), within=60, every=0.1)
        viewer.wait_for(max(1, round(into_segment * FRAMERATE)), within=60)
        known, unfinished = set(footage.files(host, camera="door")), set(spool(host))
        # The control experiment: a cut that spared the guest's page cache would prove nothing about recordings.
        host.run("echo lost > /root/not-synced")
        moment = host.power_cut()
        frames = [frame for frame in viewer.frames if frame.arrived <= moment]
    host.start()
    assert not host.succeeds("grep -q lost /root/not-synced"), "the cut was none: unsynced data survived"
    eventually("the spool of before the cut filed", lambda: not unfinished & set(spool(host)), within=180)
    # Oldest first: after the boot the recorder goes on, and what it adds is none of the cut's.
    files = footage.files(host, camera="door")
    recent = [path for path in files if path in known][-3:] + [path for path in files if path not in known][:3]
    digests = {path: set(footage.digests(host, path)) for path in recent}
    kept = [frame for frame in frames if any(frame.digest in found for found in digests.values())]
    assert kept, "nothing that was seen is on the disk"
    seen = {frame.digest for frame in frames}
    segments = [path for path, found in digests.items() if path not in known and found & seen]
    return Cut(moment - kept[-1].arrived, len(frames), len(kept), segments)


def agrees(host: Guest) -> bool:
    """Whether the list of recordings and the files on the disk are the same; files come and go meanwhile."""
    before = set(footage.files(host, camera="door"))
    listed = {f"{footage.DATA}/{path}" for path in recordings(host)}
    return before <= listed <= before | set(footage.files(host, camera="door"))


@pytest.mark.parametrize("into_segment", MOMENTS)
def test_a_power_cut_costs_at_most_two_seconds(
    host: Guest, into_segment: float, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(host)
    cut = cut_power(host, into_segment=into_segment)
    with capsys.disabled():
        print(
            f"\npower cut {into_segment} s into a segment: {cut.lost:.2f} s lost; {cut.kept} of {cut.seen} frames kept"
        )
    assert cut.lost <= MAY_BE_LOST

    # The cut-off segment is a recording like any other: in its place, in the list, playing to its end.
    listed = {f"{footage.DATA}/{path}" for path in recordings(host)}
    for path in cut.segments:
        assert path in listed
        assert footage.decodes(host, path) == ""

    # The index is what is on the disk, nothing more and nothing less.
    eventually("an index that agrees with the disk", lambda: agrees(host), within=60)

    # Nobody has lifted a finger since the boot: all is as the file says.
    settled(host, within=180)
    with Viewer(host.http_port, "/stream/door") as viewer:
        viewer.wait_for(10, within=60)
    assert get(host.http_port, "/readyz")[0] == 200
    host.run("timeout 60 v4l2-ctl -d /dev/video40 --stream-mmap --stream-count=3 --stream-to=/dev/null", timeout=90)

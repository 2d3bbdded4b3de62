"""What viewers cost beside ustreamer, in one guest, of one camera, in one run: CPU of whoever has the connections."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from .guest import Guest, eventually
from .vidops_host import resources, settled

VIEWERS = int(os.environ.get("VIDOPS_LAB_PEER_VIEWERS", "20"))
SECONDS = 20
STACK_FILE = "/etc/vidops/stack.yaml"
DEVICE = "/dev/video41"
"""A loopback device that is fed with JPEGs: the guest's own cameras deliver none."""
STACK = f"""\
apiVersion: vidops/v1
devices:
  door: {{source: v4l2, path: {DEVICE}, mode: {{input_format: mjpeg, video_size: 640x480, framerate: 30}}}}
gateways:
  public:
    bind: 0.0.0.0:8080
    routes:
      - {{path: /stream/**, handler: {{type: stream}}}}
"""
VIDEO = "/var/tmp/vga.mkv"
MAKE = "ffmpeg -v error -y -f lavfi -i testsrc2=size=640x480:rate=30:duration=3 -c:v mjpeg -q:v 4"
WATCH = r"""
import json, os, subprocess, sys, time
url, viewers, seconds, pids = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), list(map(int, sys.argv[4:]))

def used(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

command = ["curl", "-sN", "-o", "/dev/null", "-w", "%{size_download}\n", "--max-time", str(seconds + 8), url]
curls = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(viewers)]
time.sleep(5)
before, began = [used(pid) for pid in pids], time.monotonic()
time.sleep(seconds)
took = time.monotonic() - began
shares = [(used(pid) - b) / took for pid, b in zip(pids, before)]
sizes = [int(curl.communicate()[0]) for curl in curls]
print(json.dumps({"shares": shares, "bytes": sorted(sizes), "seconds": seconds + 8}))
"""

pytestmark = [pytest.mark.lab, pytest.mark.skipif("VIDOPS_LAB_PEER" not in os.environ, reason="VIDOPS_LAB_PEER=1 asks")]


@pytest.fixture
def fed(host: Guest) -> Iterator[Guest]:
    """The host with a camera that delivers JPEGs, and a stack file that names it."""
    before = host.run(f"cat {STACK_FILE}")
    host.run(f"{MAKE} {VIDEO}", timeout=180)
    feed = f"ffmpeg -nostdin -v error -re -stream_loop -1 -i {VIDEO} -c copy -f v4l2 {DEVICE}"
    host.run(f"systemd-run --unit=lab-feed {feed}")
    host.write(STACK_FILE, STACK)
    settled(host, within=240)
    yield host
    host.write(STACK_FILE, before)
    host.run("systemctl stop lab-feed lab-peer; systemctl reset-failed lab-feed lab-peer || true")
    settled(host, within=240)


def watched(host: Guest, url: str, pids: list[int]) -> tuple[list[float], float]:
    """Each process's share of a core while so many watch, and the fewest megabytes that a viewer had in a second."""
    words = " ".join(map(str, (url, VIEWERS, SECONDS, *pids)))
    found = json.loads(host.run(f"python3 - {words}", input=WATCH, timeout=180))
    return found["shares"], found["bytes"][0] / found["seconds"] / 1e6


@pytest.mark.timeout(900)
def test_beside_ustreamer(fed: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    host = fed
    options = "--format=MJPEG --encoder=HW --resolution=640x480 --host=127.0.0.1 --port=8090 --desired-fps=0"
    host.run(f"systemd-run --unit=lab-peer ustreamer --device={DEVICE} {options}")
    eventually("ustreamer answers", lambda: host.succeeds("curl -fs -o /dev/null http://127.0.0.1:8090/"), within=60)
    peer = int(host.run("systemctl show -P MainPID lab-peer"))
    rounds = []
    for _ in range(3):
        (theirs,), their_rate = watched(host, "http://127.0.0.1:8090/stream", [peer])
        pids = [resources(host)[name]["pid"] for name in ("hub/hub", "gateway/public")]
        (hub, gateway), rate = watched(host, "http://127.0.0.1:8080/stream/door", pids)
        rounds.append(((hub + gateway) / theirs, theirs, hub, gateway, their_rate, rate))
    rounds.sort()
    ratio, theirs, hub, gateway, their_rate, rate = rounds[1]
    with capsys.disabled():
        print(
            f"\n{VIEWERS} viewers of 640x480: hub {hub:.0%}, gateway {gateway:.0%} of an emulated core; ustreamer "
            f"(reads the device itself) {theirs:.0%}: {ratio:.2f} times; slowest viewer {rate:.2f} MB/s, there "
            f"{their_rate:.2f}"
        )
    # Nearly all of what there is, for all, and for no more than it costs there.
    assert rate > 0.8 * their_rate
    assert ratio < 1.5

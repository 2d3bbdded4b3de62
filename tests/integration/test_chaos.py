"""Random kills: whatever dies comes back within seconds, and nothing that was finished is lost."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from tests.integration.viewer import Viewer
from vidops.resources.restart import RestartPolicy, delay
from vidops.runtime.programs import find_ffmpeg
from vidops.testing import Host, free_port, wait_until

pytestmark = pytest.mark.integration

KILLS = 50
AS_THEY_ARE = ("-fps_mode", "passthrough", "-enc_time_base", "-1")
"""Have FFmpeg take frames by their own times: two that a busy host delivered within a frame's time are no mistake."""
HEALED_WITHIN = 5.0
MARGIN = 2.0
STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 320x180, framerate: 15}}}}
captures:
  archive: {{device: cam, segment: {{duration: 2s}}}}
gateways:
  main:
    bind: "127.0.0.1:{port}"
    routes:
      - {{path: /stream/**, handler: {{type: stream}}}}
"""


class Row:
    """Kills of the same process before it was healthy for long: those are answered with the policy's backoff."""

    def __init__(self) -> None:
        self.policy = RestartPolicy()
        self.kills: dict[str, tuple[int, float]] = {}
        self.well = 0.0
        """Seconds so far in which all was well."""
        self.healed = time.monotonic()

    def backoff(self, name: str, took: float) -> float:
        """Seconds that the policy asks for after a kill that was healed just now, `took` seconds after it."""
        now = time.monotonic()
        self.well += max(0.0, now - took - self.healed)
        self.healed = now
        count, last = self.kills.get(name, (0, -inf))
        count = count + 1 if self.well - last < self.policy.healthy_after + MARGIN else 1
        self.kills[name] = (count, self.well)
        return delay(self.policy, count, 1.0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_fifty_random_kills(vidops_host: Callable[..., Host], capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("VIDOPS_CHAOS_SEED") or int.from_bytes(os.urandom(4)))
    dice = random.Random(seed)
    host = vidops_host(STACK.format(port=free_port()))
    host.healthy()
    slowest: dict[str, float] = {}
    row = Row()
    finished: dict[str, bytes] = {}
    with capsys.disabled():
        print(f"\nseed {seed}")
    for _ in range(KILLS):
        name = dice.choice(["control plane", "supervisord", "hub/hub", "source/cam", "capture/archive", "gateway/main"])
        finished.update(_finished(host))
        whole = _kill(host, name)
        took = whole - row.backoff(name, whole)
        assert took < HEALED_WITHIN, f"{name}: {took:.1f}s\n{host.log()[-3000:]}"
        slowest[name] = max(slowest.get(name, 0.0), took)
    with capsys.disabled():
        print("; ".join(f"{name} healed in {seconds:.1f}s at most" for name, seconds in sorted(slowest.items())))
    # Nothing twice: supervisord, and one process a resource.
    running = [r for r in host.status()["resources"] if r["pid"]]
    wait_until(lambda: len(host.processes()) == len(running) + 1, what="one process a resource")
    assert host.stop() == 0
    assert host.processes() == []
    # Not a byte of what was finished before a kill is another one after it.
    assert len(finished) > 5
    assert finished.items() <= _finished(host).items()
    _all_play(host)


def _kill(host: Host, name: str) -> float:
    """Kill -9, and wait until all is healthy again; the seconds it took."""
    frames = int(host.resource("source/cam")["facts"]["frames"])
    if name == "control plane":
        host.kill()
        begun = time.monotonic()
        host.start()
    else:
        victim = _supervisord(host) if name == "supervisord" else host.pid(name)
        os.kill(victim, signal.SIGKILL)
        begun = time.monotonic()
        wait_until(lambda: not os.path.exists(f"/proc/{victim}"), what="the end of the victim")

    def healed() -> bool:
        status = host.status()
        seen = host.resource("source/cam")["facts"].get("frames", 0)
        # A new hub counts from the start: any other number of frames is a sign of life.
        return status["health"] == "Healthy" and status["sync"] == "Synced" and seen not in (0, frames)

    host.until(healed, timeout=30, what=f"healed after {name} was killed")
    return time.monotonic() - begun


def _supervisord(host: Host) -> int:
    return int((host.root / "run" / "supervisor.pid").read_text())


def _finished(host: Host) -> dict[str, bytes]:
    """Every finished segment on disk by path, with a hash of its content."""
    data = host.root / "data"
    files = [path for path in data.rglob("*.mp4") if ".spool" not in path.parts]
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).digest() for path in files}


def _all_play(host: Host) -> None:
    rows = json.loads(host.cli("recordings", "-n", "10000", "-o", "json").stdout)
    assert len(rows) > 10
    for row in rows:
        path = host.root / "data" / row["path"]
        result = subprocess.run(
            [find_ffmpeg(), "-v", "error", "-xerror", "-i", str(path), *AS_THEY_ARE, "-f", "null", "-"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, ""), f"{path}: {result.stderr}"


CAMERAS = 5
MANY = """\
apiVersion: vidops/v1
devices:
{devices}
gateways:
  main:
    bind: "127.0.0.1:{port}"
    routes: [{{path: /stream/**, handler: {{type: stream}}}}]
"""


@pytest.mark.long
def test_a_viewer_keeps_its_connection_when_its_source_is_killed(
    vidops_host: Callable[..., Host], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    camera = "  cam{}: {{source: testsrc, mode: {{video_size: 320x180, framerate: 15}}}}"
    host = vidops_host(MANY.format(port=port, devices="\n".join(camera.format(n) for n in range(CAMERAS))))
    gaps, bare = [], []
    # A camera each time: the policy answers at once the first time, and makes a row of failures wait.
    for name in (f"cam{n}" for n in range(CAMERAS)):
        viewer = Viewer(port, name)
        try:
            gaps.append(_gap(host, viewer, name))
        finally:
            viewer.close()
        assert not viewer.ended, viewer.error
        bare.append(_bare_start(host, name))
    with capsys.disabled():
        print(
            f"\nsource killed: gap median {statistics.median(gaps) * 1000:.0f} ms; "
            f"a bare FFmpeg starts in {statistics.median(bare) * 1000:.0f} ms"
        )
    # The gap has one frame's time in it that no start is to blame for.
    assert statistics.median(gaps) < statistics.median(bare) + 0.1 + 1 / 15


def _gap(host: Host, viewer: Viewer, name: str) -> float:
    """Kill the viewer's source, and wait until frames come again; the seconds without."""
    wait_until(lambda: len(viewer.arrivals) > 10, what="frames")
    victim = host.until(lambda: host.pid(f"source/{name}"), what="its pid")
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: sum(t > killed + 0.05 for t in viewer.arrivals) > 15, what="frames again")
    return viewer.largest_gap(killed - 0.2)


def _bare_start(host: Host, name: str) -> float:
    """Seconds from exec to the first bytes of the very command of a source, run alone."""
    argv = json.loads(Path(host.layout.spec_file(f"source.{name}")).read_text())["argv"]
    argv[-1] = "-"
    begun = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        took = time.monotonic() - begun
        process.kill()
    return took

"""Random kills: whatever dies comes back within seconds, and nothing that was finished is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.integration.viewer import Viewer
from vidops.resources.restart import RestartPolicy, delay
from vidops.runtime.programs import find_ffmpeg
from vidops.testing import Host, free_port, wait_until

pytestmark = pytest.mark.integration

KILLS = 50
HEALED_WITHIN = 5.0
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

    def backoff(self, name: str) -> float:
        """Seconds that the policy asks for after this kill, at most."""
        count, last = self.kills.get(name, (0, 0.0))
        now = time.monotonic()
        count = count + 1 if now - last < self.policy.healthy_after + HEALED_WITHIN else 1
        self.kills[name] = (count, now)
        return delay(self.policy, count, 1.0)


@pytest.mark.timeout(600)
def test_fifty_random_kills(vidops_host: Callable[..., Host], capsys: pytest.CaptureFixture[str]) -> None:
    seed = int.from_bytes(os.urandom(4))
    dice = random.Random(seed)
    host = vidops_host(STACK.format(port=free_port()))
    host.healthy()
    slowest: dict[str, float] = {}
    row = Row()
    with capsys.disabled():
        print(f"\nseed {seed}")
    for _ in range(KILLS):
        name = dice.choice(["control plane", "supervisord", "hub/hub", "source/cam", "capture/archive", "gateway/main"])
        took = _kill(host, name) - row.backoff(name)
        assert took < HEALED_WITHIN, f"{name}: {took:.1f}s\n{host.log()[-3000:]}"
        slowest[name] = max(slowest.get(name, 0.0), took)
    with capsys.disabled():
        print("; ".join(f"{name} healed in {seconds:.1f}s at most" for name, seconds in sorted(slowest.items())))
    # Nothing twice: supervisord, and one process a resource.
    running = [r for r in host.status()["resources"] if r["pid"]]
    wait_until(lambda: len(host.processes()) == len(running) + 1, what="one process a resource")
    assert host.stop() == 0
    assert host.processes() == []
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


def _all_play(host: Host) -> None:
    rows = json.loads(host.cli("recordings", "-n", "10000", "-o", "json").stdout)
    assert len(rows) > 10
    for row in rows:
        path = host.root / "data" / row["path"]
        result = subprocess.run(
            [find_ffmpeg(), "-v", "error", "-i", str(path), "-f", "null", "-"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{path}: {result.stderr}"


def test_a_viewer_keeps_its_connection_when_its_source_is_killed(
    vidops_host: Callable[..., Host], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    host = vidops_host(STACK.format(port=port))
    host.healthy()
    viewer = Viewer(port, "cam")
    try:
        wait_until(lambda: len(viewer.arrivals) > 15, what="frames")
        gaps = []
        for _ in range(5):
            victim = host.pid("source/cam") or int(host.resource("source/cam")["pid"])
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda since=killed: sum(t > since + 0.05 for t in viewer.arrivals) > 20, what="frames again")  # type: ignore[misc]
            gaps.append(viewer.largest_gap(killed - 0.2))
            # The policy answers a failure at once only after a healthy while; this is about the first one.
            host.healthy()
    finally:
        viewer.close()
    assert not viewer.ended, viewer.error
    bare = _bare_start()
    with capsys.disabled():
        print(f"\nsource killed: gap {min(gaps) * 1000:.0f} ms; a bare FFmpeg starts in {bare * 1000:.0f} ms")
    assert min(gaps) < bare + 0.1 + 1 / 15


def _bare_start() -> float:
    """Seconds from exec to the first bytes of the same source."""
    picture = ("-f", "lavfi", "-re", "-i", "testsrc2=size=320x180:rate=15")
    argv = [find_ffmpeg(), "-v", "error", *picture, "-f", "mpjpeg", "-"]
    begun = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        took = time.monotonic() - begun
        process.kill()
    return took

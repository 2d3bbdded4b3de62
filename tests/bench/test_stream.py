"""What a hundred viewers of a camera cost from the source's socket on: hub and gateway together. Prints.

The camera is a file of JPEGs of 640x480 that FFmpeg copies at 30 a second, as it does with an MJPEG device.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.test_gateway import crowd
from tests.bench.test_hub import cpu, rss
from tests.bench.test_recording import PLUGIN
from vidops.runtime.programs import find_ffmpeg
from vidops.testing import Host, free_port

pytestmark = [pytest.mark.bench, pytest.mark.integration]

SECONDS = 15.0
VIEWERS = 100
STACK = """\
apiVersion: vidops/v1
devices:
  door: {{source: copied, path: {video}}}
gateways:
  public:
    bind: 127.0.0.1:{port}
    routes:
      - {{path: /stream/**, handler: {{type: stream}}}}
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "vga.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=30:duration=10", "-c:v", "mjpeg", "-q:v", "4"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, str(path)], check=True)
    return path


async def test_a_hundred_viewers(
    vidops_host: Callable[..., Host], tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "copied.py").write_text(PLUGIN)
    port = free_port()
    env = {"VIDOPS_PLUGINS_DIR": json.dumps([str(tmp_path)])}
    host = await asyncio.to_thread(vidops_host, STACK.format(video=video, port=port), env=env)
    await asyncio.to_thread(host.healthy)
    pids = {name: host.pid(name) for name in ("hub/hub", "gateway/public")}
    viewers = await crowd(port, VIEWERS)
    await asyncio.sleep(3.0)  # the camera opens, and what that takes is not measured
    before, began = {name: cpu(pid) for name, pid in pids.items()}, time.monotonic()
    seen = [(viewer.frames, viewer.bytes) for viewer in viewers]
    await asyncio.sleep(SECONDS)
    seconds = time.monotonic() - began
    shares = {name: (cpu(pid) - before[name]) / seconds for name, pid in pids.items()}
    frames = [viewer.frames - count for viewer, (count, _) in zip(viewers, seen, strict=True)]
    size = (viewers[0].bytes - seen[0][1]) / frames[0] / 1000
    memory = sum(map(rss, pids.values())) / 1e6
    for viewer in viewers:
        assert viewer.transport is not None
        viewer.transport.abort()
    with capsys.disabled():
        print(
            f"\n{VIEWERS} viewers of 640x480 at 30 fps, {size:.0f} kB a frame: hub {shares['hub/hub']:.1%}, "
            f"gateway {shares['gateway/public']:.1%}, together {sum(shares.values()):.1%} of a core, {memory:.0f} MB; "
            f"slowest {min(frames) / seconds:.1f} fps"
        )
    assert min(frames) / seconds >= 29
    assert sum(shares.values()) < 0.12

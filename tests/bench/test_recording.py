"""What recording through vidops costs, against the same FFmpeg command alone, in one run. Prints; run with `-m bench`.

The camera is a file of 720p JPEGs that FFmpeg reads at 30 a second and copies, as it does with an MJPEG device.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bench.test_hub import cpu, rss
from vidops.runtime.programs import find_ffmpeg
from vidops.testing import Host

pytestmark = [pytest.mark.bench, pytest.mark.integration]

SECONDS = 20.0
MIB = 1024 * 1024
PLUGIN = '''
from typing import Literal
from vidops.api import FFMPEG, Device, Program, SourceBuild, SourceType, hookimpl

class Copied(Device):
    """A file of JPEGs, delivered as they are."""
    source: Literal["copied"]
    path: str

def build(options, context):
    words = ("-re", "-stream_loop", "-1", "-i", options.path, "-c", "copy", "-f", "mpjpeg", context.output)
    return SourceBuild(Program(argv=(FFMPEG, "-hide_banner", "-nostdin", "-loglevel", "warning", *words)))

@hookimpl
def vidops_sources():
    return [SourceType("copied", Copied, build)]
'''


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "720p.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=10", "-c:v", "mjpeg", "-q:v", "5"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, str(path)], check=True)
    return path


def stack(video: Path, cameras: int) -> str:
    names = [f"cam{n}" for n in range(cameras)]
    devices = "".join(f"  {name}: {{source: copied, path: {video}}}\n" for name in names)
    return (
        f"apiVersion: vidops/v1\ndevices:\n{devices}captures:\n"
        "  all: {devices: 'cam*', segment: {duration: 10s, path: '{device}/%s'}}\n"
    )


@pytest.fixture
def host_of(vidops_host: Callable[..., Host], tmp_path: Path, video: Path) -> Callable[[int], Host]:
    (tmp_path / "copied.py").write_text(PLUGIN)

    def make(cameras: int) -> Host:
        env = {"VIDOPS_PLUGINS_DIR": json.dumps([str(tmp_path)])}
        host = vidops_host(stack(video, cameras), env=env)
        host.healthy()
        return host

    return make


def used(pids: list[int]) -> float:
    """Share of a core that processes use together."""
    before, began = sum(map(cpu, pids)), time.monotonic()
    time.sleep(SECONDS)
    return (sum(map(cpu, pids)) - before) / (time.monotonic() - began)


@contextlib.contextmanager
def alone(video: Path, folder: Path) -> Iterator[int]:
    """The recorder's command, reading the camera itself."""
    words = ["-re", "-stream_loop", "-1", "-i", str(video), "-c", "copy", "-f", "segment", "-segment_time", "10"]
    words += ["-segment_format", "mp4", "-segment_format_options"]
    words += ["movflags=+empty_moov+default_base_moof:frag_duration=1000000:flush_packets=1", f"{folder}/%d.mp4"]
    process = subprocess.Popen([find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error", *words])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_cpu_of_a_recording(host_of: Callable[[int], Host], video: Path, tmp_path: Path) -> None:
    host = host_of(1)
    parts = {name: host.pid(name) for name in ("source/cam0", "hub/hub", "capture/all.cam0")}
    with alone(video, tmp_path) as pid:
        shares = {}
        for name, process in (*parts.items(), ("alone", pid)):
            shares[name] = used([process])
    through = sum(shares[name] for name in parts)
    print(
        f"\n720p30 MJPEG, copied: {', '.join(f'{n} {s:.2%}' for n, s in shares.items())}; "
        f"through vidops {through:.2%} of a core, alone {shares['alone']:.2%}: {through / shares['alone']:.2f} times"
    )
    assert through < 0.10


def test_memory_of_added_cameras(host_of: Callable[[int], Host]) -> None:
    sizes = {}
    for cameras in (1, 5):
        host = host_of(cameras)
        time.sleep(5)
        sizes[cameras] = rss(host.pid("hub/hub")) + rss(host.process.pid if host.process else 0)
        host.stop()
    added = (sizes[5] - sizes[1]) / 4 / MIB
    print(f"\nhub and control plane together: {sizes[1] / MIB:.1f} MiB with one camera, {added:.1f} MiB more for each")
    assert added < 8

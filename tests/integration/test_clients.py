"""Who reads a stream: curl, FFmpeg and OpenCV, each given the camera's own bytes (a browser: tests/browser); one that
stops reading; a hundred that come first."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.mjpeg import FRAMES, RATE, World, in_order, parts, served
from vidops.runtime.programs import find_ffmpeg
from vidops.testing import Host, free_port

pytestmark = pytest.mark.integration

ENOUGH = 40
SLOW_FOR = float(os.environ.get("VIDOPS_SLOW_SECONDS", "15"))
FIRST_VIEWERS = 100


@pytest.fixture
def world(vidops_host: Callable[..., Host]) -> Iterator[World]:
    with served(vidops_host) as it:
        yield it


def test_curl_is_given_the_cameras_bytes(world: World) -> None:
    seconds = str(ENOUGH / RATE + 1)
    curl = shutil.which("curl")
    assert curl is not None
    result = subprocess.run([curl, "-sS", "--max-time", seconds, world.url], capture_output=True, check=False)
    assert result.returncode == 28, "it reads until its own deadline"
    found = parts(result.stdout)
    assert len(found) >= ENOUGH * 0.8
    assert in_order([image for _, image in found], world.frames)
    numbers = [number for number, _ in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_ffmpeg_is_given_the_cameras_bytes(world: World, tmp_path: Path) -> None:
    command = [find_ffmpeg(), "-v", "error", "-f", "mpjpeg", "-i", world.url, "-frames:v", str(ENOUGH)]
    subprocess.run([*command, "-c", "copy", "-f", "image2", str(tmp_path / "%04d.jpg")], check=True, timeout=60)
    images = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert len(images) == ENOUGH
    assert in_order(images, world.frames)


def test_opencv_reads_it(world: World) -> None:
    import cv2
    import numpy

    known = [cv2.imdecode(numpy.frombuffer(frame, numpy.uint8), cv2.IMREAD_COLOR) for frame in world.frames]
    video = cv2.VideoCapture(world.url)
    try:
        seen = []
        for _ in range(ENOUGH):
            whole, image = video.read()
            assert whole
            # Two decoders need not agree on the last bit.
            differences = [float(numpy.abs(image.astype(int) - other.astype(int)).mean()) for other in known]
            assert min(differences) < 4
            seen.append(differences.index(min(differences)))
    finally:
        video.release()
    assert all((b - a) % FRAMES == 1 for a, b in itertools.pairwise(seen))


BUSY = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 640x480, framerate: 30}}}}
gateways:
  web:
    bind: 127.0.0.1:{port}
    routes: [{{path: /stream/**, handler: {{type: stream}}}}]
"""


class Reader:
    """A viewer on a plain socket that keeps the numbers of frames, and can stop reading."""

    def __init__(self, port: int) -> None:
        self.numbers: list[int] = []
        self.reading = threading.Event()
        self.reading.set()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.sendall(b"GET /stream/cam HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while not self._closing:
            self.reading.wait()
            data = self._socket.recv(1 << 18)
            if not data:
                return
            rest += data
            for line in rest.split(b"\r\n")[:-1]:
                if line.startswith(b"X-Sequence:"):
                    self.numbers.append(int(line.partition(b":")[2]))
            rest = rest.rpartition(b"\r\n")[2]

    def close(self) -> None:
        self._closing = True
        self.reading.set()
        self._thread.join(5)
        self._socket.close()


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.long
@pytest.mark.timeout(SLOW_FOR + 120)
def test_a_viewer_that_stops_reading_costs_the_others_nothing(vidops_host: Callable[..., Host]) -> None:
    port = free_port()
    host = vidops_host(BUSY.format(port=port))
    host.healthy()
    others = [Reader(port) for _ in range(3)]
    slow = Reader(port)
    try:
        time.sleep(2)
        pids = [host.pid("gateway/web"), host.pid("hub/hub")]
        before = [resident(pid) for pid in pids]
        slow.reading.clear()
        time.sleep(SLOW_FOR)
        grown = [resident(pid) - was for pid, was in zip(pids, before, strict=True)]
        assert max(grown) < 8 * 1024 * 1024, grown
        newest = others[0].numbers[-1]
        slow.reading.set()
        time.sleep(1)
        # What the kernel had taken for it, then the newest.
        jumps = [(a, b) for a, b in itertools.pairwise(slow.numbers) if b != a + 1]
        assert len(jumps) == 1, jumps
        assert jumps[0][1] >= newest - 2
        for other in others:
            assert other.numbers == list(range(other.numbers[0], other.numbers[0] + len(other.numbers)))
            assert len(other.numbers) > SLOW_FOR * 28
    finally:
        for reader in (slow, *others):
            reader.close()


COLD = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 320x180, framerate: 30}}, on_demand: {{close_after: 0s}}}}
  broken: {{source: file, path: nowhere.mp4, on_demand: {{close_after: 0s}}}}
gateways:
  web:
    bind: 127.0.0.1:{port}
    routes: [{{path: /stream/**, handler: {{type: stream}}}}]
"""


@pytest.mark.long
@pytest.mark.timeout(300)
def test_every_first_viewer_gets_its_picture(vidops_host: Callable[..., Host]) -> None:
    port = free_port()
    host = vidops_host(COLD.format(port=port))
    for _ in range(FIRST_VIEWERS):
        host.until(lambda: host.resource("source/cam")["reason"] == "Idle", what="nobody has it open")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stream/cam", timeout=15) as answer:
            head = b""
            while b"\xff\xd8" not in head:
                head += answer.read(1024)
    # One that cannot work is told at once, with the reason, and not after the timeout.
    for _ in range(5):
        begun = time.monotonic()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/stream/broken", timeout=15)
        with refused.value as error:
            assert (error.code, error.headers["content-type"]) == (503, "application/problem+json")
            assert "nowhere.mp4" in json.load(error)["detail"]
        assert time.monotonic() - begun < 3

"""A camera that speaks HTTP, whose JPEGs are known; a host that shows it; and what a multipart answer holds."""

from __future__ import annotations

import http.server
import itertools
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from vidops.runtime.programs import find_ffmpeg
from vidops.testing import Host, free_port

FRAMES, RATE = 12, 20.0
"""Pictures of the camera, and how many it sends a second."""
STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: http, url: "http://127.0.0.1:{camera}/stream"}}
gateways:
  web:
    bind: 127.0.0.1:{port}
    routes:
      - {{path: /stream/**, handler: {{type: stream}}}}
      - {{path: /, handler: {{type: respond, body: "<img src=/stream/cam>", content_type: text/html}}}}
"""

HEAD = re.compile(rb"\r\n\r\n")
LENGTH = re.compile(rb"Content-Length: ?(\d+)", re.IGNORECASE)
SEQUENCE = re.compile(rb"X-Sequence: ?(\d+)", re.IGNORECASE)


def jpegs(count: int, size: str = "320x240") -> list[bytes]:
    """Pictures that differ, as FFmpeg encodes them."""
    source = f"testsrc=s={size}:r=10"
    command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", str(count), "-f", "image2pipe"]
    data = subprocess.run([*command, "-c:v", "mjpeg", "-"], capture_output=True, check=True).stdout
    found = [b"\xff\xd8" + part for part in data.split(b"\xff\xd8") if part]
    assert len(set(found)) == count
    return found


@contextmanager
def camera(frames: list[bytes], rate: float) -> Iterator[int]:
    """Serves the frames, round and round, so many a second; yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for frame in itertools.cycle(frames):
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(frame)
                    self.wfile.write(head + frame + b"\r\n")
                    time.sleep(1 / rate)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """Whole parts of a multipart body that may be cut off anywhere: sequence and image of each."""
    found = []
    position = 0
    while (end := HEAD.search(data, position)) is not None:
        head = data[position : end.start()]
        length = LENGTH.search(head)
        if length is None:
            # The answer's own head.
            position = end.end()
            continue
        image = data[end.end() : end.end() + int(length[1])]
        if len(image) < int(length[1]):
            break
        sequence = SEQUENCE.search(head)
        found.append((int(sequence[1]) if sequence else 0, image))
        position = end.end() + len(image)
    return found


@dataclass(frozen=True)
class World:
    """A gateway at `base` that shows a camera whose pictures are known."""

    base: str
    frames: list[bytes]

    @property
    def url(self) -> str:
        return f"{self.base}/stream/cam"


@contextmanager
def served(vidops_host: Callable[..., Host]) -> Iterator[World]:
    """A camera and a host that shows it."""
    frames, port = jpegs(FRAMES), free_port()
    with camera(frames, RATE) as source:
        vidops_host(STACK.format(camera=source, port=port)).healthy()
        yield World(f"http://127.0.0.1:{port}", frames)


def in_order(images: list[bytes], frames: list[bytes]) -> bool:
    """Whether images follow one another as the camera's frames do, none left out."""
    first = frames.index(images[0])
    return all(image == frames[(first + n) % len(frames)] for n, image in enumerate(images))

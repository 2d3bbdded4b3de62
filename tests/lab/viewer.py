"""A viewer of a camera's MJPEG stream over HTTP that notes when each frame came, as a person's browser would see it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import pairwise
from types import TracebackType
from typing import Self

from .guest import eventually

FIRST_FRAME_SECONDS = 60.0
SILENCE_SECONDS = 120.0
"""How long a socket may be quiet before the viewer calls it dead: longer than any test waits for frames."""


@dataclass(frozen=True, slots=True)
class Frame:
    """`arrived` is this machine's time.monotonic(); `digest` the SHA-256 of the JPEG's bytes, in hex."""

    arrived: float
    digest: str
    size: int
    whole: bool


def parts(stream: BufferedIOBase, boundary: bytes) -> Iterator[bytes]:
    """The bodies of a multipart stream whose parts say their Content-Length (RFC 2046; ours all do)."""
    while line := stream.readline():
        if line.strip() != b"--" + boundary:
            continue
        headers = http.client.parse_headers(stream)
        length = headers["Content-Length"]
        if length is None:  # the connection ended within the headers
            return
        body = stream.read(int(length))
        if len(body) == int(length):
            yield body


class Viewer:
    """Watches one stream in a thread, from `with` to its end. `frames` grows; `ended` says why it no longer does.

    `silence`: seconds without a byte after which it gives up.
    """

    def __init__(self, port: int, path: str, *, silence: float = SILENCE_SECONDS) -> None:
        self.frames: list[Frame] = []
        self.ended = ""
        self._closing = False
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=silence)
        self._path = path
        # Kept here: http.client hands it over to the response and forgets it.
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._watch, name=f"viewer {path}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(1, within=FIRST_FRAME_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the other side may have been quicker
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def wait_for(self, more: int, *, within: float) -> list[Frame]:
        """The next `more` frames; fails when they do not come in `within` seconds, or the stream ends."""
        start = len(self.frames)

        def probe() -> bool:
            assert not self.ended, f"{self._path} ended: {self.ended}"
            return len(self.frames) >= start + more

        eventually(f"{more} more frames of {self._path} (have {len(self.frames) - start})", probe, within=within)
        return self.frames[start:]

    def largest_gap(self, since: float = 0.0) -> float:
        """Seconds, between frames that came after `since`."""
        times = [f.arrived for f in self.frames if f.arrived >= since]
        return max((b - a for a, b in pairwise(times)), default=float("inf"))

    def _watch(self) -> None:
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            self._connection.request("GET", self._path)
            response = self._connection.getresponse()
            if response.status != 200:
                self.ended = f"HTTP {response.status}: {response.read(500)!r}"
                return
            boundary = response.headers.get_boundary("")
            for body in parts(response, boundary.removeprefix("--").encode()):
                whole = body.startswith(b"\xff\xd8") and body.rstrip(b"\r\n").endswith(b"\xff\xd9")
                self.frames.append(Frame(time.monotonic(), hashlib.sha256(body).hexdigest(), len(body), whole))
            self.ended = "the server closed it"
        except (OSError, http.client.HTTPException) as error:
            self.ended = "closed here" if self._closing else repr(error)
        finally:
            self._connection.close()


def get(port: int, path: str, *, timeout: float = 30) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()

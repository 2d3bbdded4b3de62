"""Clients that count: stream viewers and a request load, as threads on plain sockets."""

from __future__ import annotations

import http.client
import itertools
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Viewer:
    """Reads `<prefix>/stream/<camera>` until it ends or `close()`. `arrivals`: monotonic times of each part's head."""

    port: int
    camera: str
    arrivals: list[float] = field(default_factory=list)
    ended: bool = False
    error: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        self._closing = False
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        self._socket.sendall(
            f"GET {self.prefix}/stream/{self.camera} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        tail = b""
        try:
            while data := self._socket.recv(1 << 16):
                text = tail + data
                self.arrivals.extend([time.monotonic()] * text.count(b"\r\nX-Sequence:"))
                tail = text[-12:] if not text.endswith(b"\r\nX-Sequence:") else b""
        except OSError as error:
            if not self._closing:
                self.error = str(error)
        self.ended = not self._closing

    def largest_gap(self, since: float = 0.0) -> float:
        """Seconds between two frames, at most, after the monotonic time `since`."""
        times = [t for t in self.arrivals if t >= since]
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def close(self) -> None:
        self._closing = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()


@dataclass
class Load:
    """Keep-alive requests to one path from `clients` threads until `close()`; connections are made anew when the
    server closes them between two requests, as HTTP clients do."""

    port: int
    path: str
    clients: int = 4
    done: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self._stop.is_set():
            try:
                connection.request("GET", self.path)
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or not body:
                    self.failures.append(f"{response.status} {body[:200]!r}")
                self.done += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
            self._stop.wait(0.01)
        connection.close()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


def get(port: int, path: str) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()

"""Waiting for what has to come, instead of sleeping and hoping."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(check: Callable[[], T], *, timeout: float = 10.0, every: float = 0.02, what: str = "") -> T:
    """Call `check` until its answer is true, and return that; raises `AssertionError` after `timeout` seconds.

    An `AssertionError` or `OSError` in `check` is a no, and is told if it is the last one.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: BaseException | None = None
        try:
            answer = check()
            if answer:
                return answer
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g}s: {what or 'the condition'}") from last
        time.sleep(every)


def free_port() -> int:
    """A port that nobody listens on now. Somebody may, later: bind it soon."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port

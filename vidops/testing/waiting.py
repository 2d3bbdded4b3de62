"""Waiting for what has to come, instead of sleeping and hoping."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
LOWEST_PORT = 10_000


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
    """A port of loopback that nobody listens on now. It is none of those that the system gives to outgoing connections,
    which would have it before it is bound. Raises `OSError` where hundreds are taken."""
    first_outgoing, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    for port in random.sample(range(LOWEST_PORT, int(first_outgoing)), 500):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError(f"no port is free between {LOWEST_PORT} and {first_outgoing}")

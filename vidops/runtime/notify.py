"""sd_notify(3): tell the service manager that started this process what it may rely on."""

from __future__ import annotations

import contextlib
import os
import socket

FROM_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""What a service manager tells its one direct child, and nobody below."""


def notify(state: str) -> bool:
    """Send `READY=1`, `STATUS=...` to the service manager, where there is one; whether it was sent."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
    ):
        channel.setblocking(False)
        # "@" stands for the NUL of an abstract address.
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        return True
    return False


def forget_manager() -> None:
    """Keep it from children that are started from now on."""
    for name in FROM_MANAGER:
        os.environ.pop(name, None)

"""Who listens where we wanted to: from /proc/net and /proc/*/fd (proc(5)). Best effort, for error texts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_LISTEN = "0A"
_UDP_BOUND = "07"


def holder_of(*, port: int = 0, path: str = "", udp: bool = False) -> str:
    """ " by nginx (pid 123)" for the process that listens there; empty where that cannot be seen."""
    inodes = set(_unix_inodes(path) if path else _port_inodes(port, "udp" if udp else "tcp"))
    for pid, name in _holders(inodes):
        return f" by {name} (pid {pid})"
    return ""


def _lines(file: str) -> Iterator[list[str]]:
    with contextlib.suppress(OSError), open(file, encoding="utf-8", errors="replace") as table:
        next(table, None)
        for line in table:
            yield line.split()


def _port_inodes(port: int, protocol: str) -> Iterator[str]:
    state = _LISTEN if protocol == "tcp" else _UDP_BOUND
    for file in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        for fields in _lines(file):
            if len(fields) > 9 and fields[3] == state and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _unix_inodes(path: str) -> Iterator[str]:
    for fields in _lines("/proc/net/unix"):
        if len(fields) > 7 and fields[7] == path:
            yield fields[6]


def _holders(inodes: set[str]) -> Iterator[tuple[int, str]]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for name in os.listdir("/proc") if wanted else ():
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{name}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{name}/fd/{descriptor}") in wanted:
                        with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as comm:
                            yield int(name), comm.read().strip()
                        break

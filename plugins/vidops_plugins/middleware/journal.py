"""Records as entries of systemd's journal, with fields to search by. Its protocol is a datagram for each
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL): libsystemd's bindings would want a compiler on every host."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

SOCKET = "/run/systemd/journal/socket"
WARNING, INFO = 4, 6


class Journal:
    """`write` never blocks. The socket is opened for good, and found again where journald was restarted."""

    def __init__(self, path: str = "") -> None:
        self._path = path or SOCKET
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def write(self, message: str, priority: int, record: Mapping[str, Any]) -> bool:
        """False where the journal does not take it: it is full, or not there. `record`: fields, as `VIDOPS_<NAME>`."""
        fields = {"MESSAGE": message, "PRIORITY": priority, "SYSLOG_IDENTIFIER": "vidops-gateway"}
        fields |= {f"VIDOPS_{name.upper()}": value for name, value in record.items()}
        try:
            self._socket.sendto(b"".join(_field(name, str(value)) for name, value in fields.items()), self._path)
        except OSError:
            return False
        return True

    async def close(self) -> None:
        self._socket.close()


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return b"%b\n%b%b\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
    return b"%b=%b\n" % (name.encode(), data)

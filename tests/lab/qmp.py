"""The little of QEMU's Machine Protocol (QMP) that the lab needs."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any


def ask(path: Path, command: str, arguments: dict[str, object], timeout: float = 10.0) -> Any:
    """Run one QMP command over the socket at `path` and return its result."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        with connection.makefile("rw") as stream:
            stream.readline()  # QEMU's greeting
            _exchange(stream, "qmp_capabilities", {})
            return _exchange(stream, command, arguments)


def _exchange(stream: Any, command: str, arguments: dict[str, object]) -> Any:
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        line = stream.readline()
        if not line:
            raise ConnectionError(f"QEMU closed its control socket at {command}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"QEMU refused {command}: {answer['error']['desc']}")
        if "return" in answer:  # events may come in between
            return answer["return"]


def forwarded_ports(path: Path) -> dict[int, int]:
    """Guest port to host port, for forwards that let QEMU pick a free one (host port 0)."""
    listing = ask(path, "human-monitor-command", {"command-line": "info usernet"})
    rows = re.findall(r"TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)", listing)
    return {int(guest): int(host) for host, guest in rows}

"""Sockets that a service manager has opened (sd_listen_fds(3)), on their way through supervisord to a gateway.

supervisord closes descriptors below its `minfds` at its start and before each program's, so they are moved above it and
told of in a variable of our own; the exec shim lets none but gateways keep them.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Mapping, MutableMapping

from vidops.errors import PermanentError
from vidops.resources.layout import MINFDS

VARIABLE = "VIDOPS_LISTEN_FDS"
"""JSON: {"3": 64, "web": 64}; numbers and names as the manager counts, each with the descriptor that it now is."""
FIRST = 3
"""SD_LISTEN_FDS_START."""


def keep(environ: MutableMapping[str, str], pid: int) -> None:
    """Take over what this process was given: move it above `MINFDS`, to be inherited, and say so in `VARIABLE`."""
    if found := _moved(environ, pid):
        environ[VARIABLE] = json.dumps(found)
        # What these say does not hold any more.
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            environ.pop(name, None)


def _moved(environ: Mapping[str, str], pid: int) -> dict[str, int]:
    """Nothing where it was given nothing, or what there is was meant for another process."""
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
        mine = int(environ.get("LISTEN_PID", "0")) == pid
    except ValueError:
        return {}
    if not mine or not 0 < count <= 1024:
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, int] = {}
    for i in range(count):
        # F_DUPFD leaves close-on-exec off: children are to have it.
        moved = fcntl.fcntl(FIRST + i, fcntl.F_DUPFD, MINFDS)
        os.close(FIRST + i)
        found[str(FIRST + i)] = moved
        if i < len(names) and names[i] and not names[i].isdigit():
            # The first of several of one name, as systemd's own users do.
            found.setdefault(names[i], moved)
    return found


def told(environ: Mapping[str, str]) -> dict[str, int]:
    """What `VARIABLE` says; nothing where it is not set, or says nonsense."""
    try:
        found = json.loads(environ.get(VARIABLE) or "{}")
    except ValueError:
        return {}
    return {n: fd for n, fd in found.items() if type(fd) is int and fd >= 0} if isinstance(found, dict) else {}


def inherited(name: str, environ: Mapping[str, str]) -> socket.socket:
    """A duplicate of the listening socket of that name or number. Raises `PermanentError` that says what to do."""
    found = told(environ)
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise _refused(
            name,
            f"no such socket was passed (passed: {known}): add one to the .socket unit of the data plane's service "
            "(FileDescriptorName= gives it a name) and start that service anew",
        )
    try:
        sock = socket.socket(fileno=os.dup(found[name]))
    except OSError as error:
        raise _refused(name, f"what was passed is not a socket ({error.strerror})") from None
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise _refused(name, "it is not a stream socket that listens: use ListenStream= and Accept=no")
    sock.setblocking(False)
    return sock


def _refused(name: str, why: str) -> PermanentError:
    return PermanentError(f"cannot listen on fd://{name}: {why}", reason="BindFailed")

"""Listening sockets, passed from one process of a gateway to another over its control socket (SCM_RIGHTS).

The one that asks serves on the very same sockets, beside the other or after it: no connection is refused in between,
and none that waits in their queue is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vidops.errors import PermanentError
from vidops.gateway.binds import Bind

REQUEST = b'{"op":"share"}\n'
TIMEOUT = 2.0
"""Seconds that another process may take to answer; then sockets are opened as if there were none."""
MOST = 250
"""Descriptors in one message (the kernel's SCM_MAX_FD is 253)."""
MAX_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Share:
    """The sockets of one bind. `inode`: of a unix socket's path; `datagrams`: those of HTTP/3, one for each of
    `sockets`, or none; `beside`: they are of a process that stays."""

    bind: Bind
    sockets: Sequence[socket.socket]
    datagrams: Sequence[socket.socket] = ()
    inode: int = 0
    beside: bool = False

    def close(self) -> None:
        for sock in (*self.sockets, *self.datagrams):
            sock.close()

    @property
    def reachable(self) -> bool:
        """False where the path of a unix socket is gone, or another's."""
        if not self.bind.path:
            return True
        try:
            return os.lstat(self.bind.path).st_ino == self.inode
        except OSError:
            return False


def send(file: int, shares: Sequence[Share]) -> None:
    """One line for each share, with its descriptors; then one that says that these were all. `file` does not block, and
    has nothing waiting. Raises `OSError`."""
    with socket.socket(fileno=os.dup(file)) as sock:
        for share in shares:
            files = [one.fileno() for one in (*share.sockets, *share.datagrams)]
            if len(files) > MOST:
                continue
            said = {"bind": share.bind.text, "datagrams": len(share.datagrams), "inode": share.inode}
            socket.send_fds(sock, [json.dumps(said).encode() + b"\n"], files)
        sock.send(b'{"ok":true}\n')


def ask(path: str, *, beside: bool = False) -> dict[Bind, Share]:
    """What the process behind a control socket listens on, ours to close; nothing where there is none, or it does not
    answer as it should. `beside`: it is another worker, and stays. Blocks for up to `TIMEOUT` seconds a share."""
    found: dict[Bind, Share] = {}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(path)
            sock.sendall(REQUEST)
            for share in received(sock):
                found[share.bind] = replace(share, beside=beside)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, PermanentError):
        close(found)
        return {}
    return found


def close(shares: Mapping[Bind, Share]) -> None:
    for share in shares.values():
        share.close()


def received(sock: socket.socket) -> Iterator[Share]:
    while True:
        # The kernel lets no read go over the end of a message that has descriptors.
        line, files, _, _ = socket.recv_fds(sock, MAX_LINE, MOST, socket.MSG_CMSG_CLOEXEC)
        sockets = [socket.socket(fileno=file) for file in files]
        with contextlib.ExitStack() as undo:
            for one in sockets:
                undo.callback(one.close)
                # Shared with the other process, which a dup() of one that Python takes for blocking would stop.
                one.setblocking(False)
            said = json.loads(line)
            if "ok" in said:
                return
            count = len(sockets) - int(said["datagrams"])
            share = Share(Bind.parse(said["bind"]), sockets[:count], sockets[count:], int(said["inode"]))
            undo.pop_all()
        yield share

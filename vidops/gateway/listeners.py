"""The sockets that a gateway listens on, changed while it serves: new ones open before old ones close."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from vidops.errors import PermanentError
from vidops.gateway.binds import BACKLOG, Bind, address_of, open_sockets
from vidops.gateway.tls import Certificate
from vidops.gateway.wire import Accept, wires

TLS_HANDSHAKE_TIMEOUT = 10.0


@dataclass(eq=False)
class _Listener:
    """One bind. The sockets are ours; each server has a duplicate, so that a server can be replaced on them."""

    bind: Bind
    sockets: list[socket.socket]
    mark: str = ""
    servers: list[asyncio.Server] = field(default_factory=list)
    inode: int = 0

    async def serve(self, accept: Accept, certificate: Certificate | None) -> None:
        """Start servers, then stop those before them: no connection is refused in between."""
        before, self.servers = self.servers, []
        for sock in self.sockets:
            self.servers.append(
                await asyncio.get_running_loop().create_server(
                    wires(accept),
                    sock=sock.dup(),
                    backlog=BACKLOG,  # or asyncio's hundred takes its place
                    ssl=certificate.context if certificate else None,
                    ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT if certificate else None,
                )
            )
        self.mark = certificate.mark if certificate else ""
        for server in before:
            server.close()

    def close(self) -> None:
        for server in self.servers:
            server.close()
        for sock in self.sockets:
            sock.close()
        if self.bind.path:
            # Another process may have taken the path over meanwhile.
            with contextlib.suppress(OSError):
                if os.lstat(self.bind.path).st_ino == self.inode:
                    os.unlink(self.bind.path)


@dataclass
class Change:
    """Opened and not yet serving. `commit` or `undo` it."""

    binds: list[Bind]
    keep: list[_Listener]
    opened: list[_Listener]
    certificate: Certificate | None


class Listeners:
    """All of a gateway's."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._current: list[_Listener] = []

    @property
    def addresses(self) -> list[str]:
        """The actual ones: port 0 shows as what the kernel gave."""
        return [address_of(sock) for listener in self._current for sock in listener.sockets]

    def stage(self, binds: Sequence[str], certificate: Certificate | None) -> Change:
        """Open what is new. Raises `PermanentError`; then nothing is open that was not before."""
        parsed = list(dict.fromkeys(Bind.parse(text) for text in binds))
        if not parsed:
            raise PermanentError("bind: nothing to listen on", reason="InvalidBind")
        current = {listener.bind: listener for listener in self._current}
        change = Change(parsed, [current[bind] for bind in parsed if bind in current], [], certificate)
        try:
            for bind in parsed:
                if bind not in current:
                    listener = _Listener(bind, open_sockets(bind))
                    if bind.path:
                        listener.inode = os.lstat(bind.path).st_ino
                    change.opened.append(listener)
        except BaseException:
            self.undo(change)
            raise
        return change

    def undo(self, change: Change) -> None:
        for listener in change.opened:
            listener.close()

    async def commit(self, change: Change) -> None:
        """Serve the new ones, give the kept ones a new certificate where it changed, close the rest."""
        mark = change.certificate.mark if change.certificate else ""
        for listener in [*change.opened, *(kept for kept in change.keep if kept.mark != mark)]:
            await listener.serve(self._accept, change.certificate)
        leaving = [listener for listener in self._current if listener not in change.keep]
        self._current = sorted([*change.keep, *change.opened], key=lambda one: change.binds.index(one.bind))
        for listener in leaving:
            listener.close()

    def close(self) -> None:
        """Accept nothing more. Established connections go on."""
        for listener in self._current:
            listener.close()
        self._current = []

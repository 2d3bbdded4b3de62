"""The sockets that a gateway listens on, changed while it serves: new ones open before old ones close."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidops.errors import PermanentError
from vidops.gateway.binds import (
    BACKLOG,
    Bind,
    address_of,
    answers,
    open_beside,
    open_more,
    open_pairs,
    open_sockets,
    share_port,
)
from vidops.gateway.handover import Share
from vidops.gateway.tls import Certificate

if TYPE_CHECKING:
    from vidops.gateway.quic import Endpoint

Connect = Callable[[], asyncio.BaseProtocol]
"""Makes the protocol of a connection that has just come."""
_NOTHING: Mapping[Bind, Share] = {}
TLS_HANDSHAKE_TIMEOUT = 10.0
ALT_SVC_AGE = 3600
"""Seconds that clients may remember that there is HTTP/3."""


@dataclass(eq=False)
class _Listener:
    """One bind. The sockets are ours; each server has a duplicate, so that a server can be replaced on them."""

    bind: Bind
    sockets: list[socket.socket]
    certificate: Certificate | None = None
    servers: list[asyncio.Server] = field(default_factory=list)
    inode: int = 0
    endpoints: list[Endpoint] = field(default_factory=list)
    """QUIC on the same addresses, where it is wanted."""
    late: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def mark(self) -> str:
        """Of the certificate that it serves with."""
        return self.certificate.mark if self.certificate else ""

    async def serve(self, connect: Connect, certificate: Certificate | None) -> None:
        """Start servers, then stop those before them: no connection is refused in between."""
        before, self.servers = self.servers, []
        for sock in self.sockets:
            self.servers.append(
                await asyncio.get_running_loop().create_server(
                    connect,
                    sock=sock.dup(),
                    backlog=BACKLOG,  # or asyncio's hundred takes its place
                    ssl=certificate.context if certificate else None,
                    ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT if certificate else None,
                )
            )
        self.certificate = certificate
        for server in before:
            server.close()

    def close(self, connect: Connect | None = None) -> None:
        """Nothing more comes. Connections that wait in the queue would be reset: these still get their protocol."""
        for server in self.servers:
            server.close()
        for sock in self.sockets:
            if connect is not None:
                self._take_last(sock, connect)
            sock.close()
        if self.bind.path:
            # Another process may have taken the path over meanwhile, or this very socket.
            with contextlib.suppress(OSError):
                if os.lstat(self.bind.path).st_ino == self.inode and not answers(self.bind.path):
                    os.unlink(self.bind.path)

    def _take_last(self, sock: socket.socket, connect: Connect) -> None:
        with contextlib.suppress(OSError):
            for _ in range(BACKLOG):
                connection, _ = sock.accept()
                task = asyncio.get_running_loop().create_task(self._take(connection, connect))
                self.late.add(task)
                task.add_done_callback(self.late.discard)

    async def _take(self, connection: socket.socket, connect: Connect) -> None:
        # One whose client has gone meanwhile, or whose handshake fails, is nobody's trouble.
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                connect,
                connection,
                ssl=self.certificate.context if self.certificate else None,
                ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT if self.certificate else None,
            )

    @property
    def share(self) -> Share:
        """For another process of this gateway."""
        return Share(self.bind, self.sockets, [endpoint.sock for endpoint in self.endpoints], self.inode)


@dataclass
class Change:
    """Opened and not yet serving. `commit` or `undo` it."""

    binds: list[Bind]
    keep: list[_Listener]
    opened: list[_Listener]
    certificate: Certificate | None
    several: bool = False
    endpoints: dict[_Listener, list[Endpoint]] = field(default_factory=dict)
    """Those that QUIC is to be served at, and is not yet."""


class Listeners:
    """All of a gateway's."""

    def __init__(self, connect: Connect, connect_quic: Callable[..., Any]) -> None:
        self._connect = connect
        self._connect_quic = connect_quic
        self._current: list[_Listener] = []
        self._leaving: dict[tuple[str, int], Endpoint] = {}
        """Endpoints whose address is not wanted, or may still be open for their connections."""

    @property
    def addresses(self) -> list[str]:
        """The actual ones: port 0 shows as what the kernel gave."""
        return [address_of(sock) for listener in self._current for sock in listener.sockets]

    @property
    def secure(self) -> bool:
        """Whether connections begin with a handshake."""
        return any(listener.certificate is not None for listener in self._current)

    @property
    def marks(self) -> list[str]:
        """Of the certificates that are served with."""
        return [listener.mark for listener in self._current]

    def alt_svc(self, port: int) -> bytes | None:
        """What answers on that TCP port say of HTTP/3 beside it."""
        served = any(endpoint.port == port for listener in self._current for endpoint in listener.endpoints)
        return b'h3=":%d"; ma=%d' % (port, ALT_SVC_AGE) if served else None

    @property
    def shares(self) -> list[Share]:
        """What other processes of this gateway may serve on, too."""
        return [listener.share for listener in self._current]

    def lacks(self, binds: Sequence[str]) -> bool:
        """Whether there is one that is not open here."""
        return not {Bind.parse(text) for text in binds} <= {listener.bind for listener in self._current}

    def stage(
        self,
        binds: Sequence[str],
        certificate: Certificate | None,
        shared: Mapping[Bind, Share] = _NOTHING,
        *,
        several: bool = False,
    ) -> Change:
        """Open what is new, or take what is `shared`; the shares are the caller's to close. `several`: other processes
        listen there, too. Raises `PermanentError`; then nothing is open that was not before."""
        parsed = list(dict.fromkeys(Bind.parse(text) for text in binds))
        if not parsed:
            raise PermanentError("bind: nothing to listen on", reason="InvalidBind")
        quic = certificate is not None and certificate.quic is not None
        if quic and not any(bind.host for bind in parsed):
            raise PermanentError("tls.http3: no address of bind is a host:port", reason="InvalidBind")
        current = {listener.bind: listener for listener in self._current}
        kept = [current[bind] for bind in parsed if bind in current]
        change = Change(parsed, kept, [], certificate, several=several)
        try:
            for bind in parsed:
                if bind not in current:
                    change.opened.append(self._opened(change, bind, quic, shared.get(bind)))
            if quic:
                for listener in change.keep:
                    if listener.bind.host and not listener.endpoints:
                        self._beside(change, listener, [])
        except BaseException:
            self.undo(change)
            raise
        return change

    def _opened(self, change: Change, bind: Bind, quic: bool, share: Share | None) -> _Listener:
        if share is not None and share.reachable:
            taken = open_more(bind, share.sockets) if bind.host and share.beside else [s.dup() for s in share.sockets]
            listener = _Listener(bind, taken, inode=share.inode)
            if quic and bind.host:
                self._beside(change, listener, [sock.dup() for sock in share.datagrams])
            return listener
        if not quic or not bind.host:
            listener = _Listener(bind, open_sockets(bind))
            if bind.path:
                listener.inode = os.lstat(bind.path).st_ino
            return listener
        sockets, datagrams = open_pairs(bind, set(self._leaving))
        listener = _Listener(bind, sockets)
        self._beside(change, listener, datagrams)
        return listener

    def _beside(self, change: Change, listener: _Listener, opened: Sequence[socket.socket | None]) -> None:
        from vidops.gateway.quic import Endpoint

        opened = opened or open_beside(listener.bind, listener.sockets, set(self._leaving))
        endpoints = change.endpoints[listener] = []
        for sock, datagrams in zip(listener.sockets, opened, strict=True):
            if datagrams is None:
                endpoint = self._leaving.pop(sock.getsockname()[:2])
                endpoint.revive()
            else:
                endpoint = Endpoint(datagrams, self._connect_quic)
            endpoints.append(endpoint)

    def undo(self, change: Change) -> None:
        for endpoints in change.endpoints.values():
            self._retire(endpoints)
        for listener in change.opened:
            listener.close()

    async def commit(self, change: Change) -> None:
        """Serve the new ones, give the kept ones a new certificate where it changed, close the rest."""
        mark = change.certificate.mark if change.certificate else ""
        for listener in [*change.opened, *(kept for kept in change.keep if kept.mark != mark)]:
            await listener.serve(self._connect, change.certificate)
        leaving = [listener for listener in self._current if listener not in change.keep]
        self._current = sorted([*change.keep, *change.opened], key=lambda one: change.binds.index(one.bind))
        for listener, endpoints in change.endpoints.items():
            listener.endpoints = endpoints
        quic = change.certificate.quic if change.certificate else None
        for listener in self._current:
            if listener.bind.host:
                for sock in listener.sockets:
                    share_port(sock, change.several)
            for endpoint in listener.endpoints:
                endpoint.configuration = quic
            if quic is None:
                self._stop_quic(listener)
        for listener in leaving:
            self._stop_quic(listener)
            listener.close(self._connect)

    def _stop_quic(self, listener: _Listener) -> None:
        endpoints, listener.endpoints = listener.endpoints, []
        self._retire(endpoints)

    def _retire(self, endpoints: Sequence[Endpoint]) -> None:
        """Their sockets stay for as long as connections use them, and serve again when they are wanted meanwhile."""
        for endpoint in endpoints:
            self._leaving[endpoint.host, endpoint.port] = endpoint
            endpoint.retire(self._left)

    def _left(self, endpoint: Endpoint) -> None:
        self._leaving.pop((endpoint.host, endpoint.port), None)

    def close(self) -> None:
        """Accept nothing more. Established connections go on."""
        for listener in self._current:
            self._stop_quic(listener)
            listener.close(self._connect)
        self._current = []

"""Where a gateway listens: `host:port`, `[v6]:port`, `unix:/path`, `fd://name`; a failure to says what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from collections.abc import Container, Sequence
from dataclasses import dataclass

from vidops.errors import PermanentError
from vidops.gateway.datagrams import open_datagrams
from vidops.gateway.direct import NOTSENT_LOWAT
from vidops.gateway.holders import holder_of
from vidops.resources.layout import SOCKET_PATH_LIMIT, split_mode
from vidops.runtime.activation import inherited

BACKLOG = 1024
FREE_PORT_TRIES = 10
UNIX_MODE = 0o660
"""Its group may use a unix socket that a gateway listens on: that is how a proxy in front gets in."""

_PASSED = re.compile(r"[0-9A-Za-z_.-]{1,100}")
UNSENT_LIMIT = 256 * 1024
"""Bytes of an answer that the kernel takes beyond what is on its way. Without, it takes megabytes for each client that
does not read, and nobody notices that it does not."""
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


@dataclass(frozen=True, slots=True)
class Bind:
    """`path` and `mode` for a unix socket, `passed` for one that systemd opened (its name or number), else `host` and
    `port` (0: any free one)."""

    text: str
    host: str = ""
    port: int = 0
    path: str = ""
    mode: int = UNIX_MODE
    passed: str = ""

    @classmethod
    def parse(cls, text: str) -> Bind:
        """Raises `PermanentError`."""
        if text.startswith("fd://"):
            if not _PASSED.fullmatch(text.removeprefix("fd://")):
                raise _invalid(text, "write the socket's FileDescriptorName or number, for example fd://web or fd://3")
            return cls(text, passed=text.removeprefix("fd://"))
        if text.startswith("unix:"):
            path, mode = split_mode(text.removeprefix("unix:"))
            if not path.startswith("/") or "\0" in path:
                raise _invalid(text, "the path must be absolute, for example unix:/run/front.sock")
            if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
                raise _invalid(text, f"a unix socket's path has at most {SOCKET_PATH_LIMIT} bytes")
            return cls(text, path=path, mode=UNIX_MODE if mode is None else mode)
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not host or (":" in host and not bracketed):
            raise _invalid(text, "write host:port, [v6]:port, unix:/path or fd://name, for example 0.0.0.0:8080")
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise _invalid(text, f"{port!r} is not a port")
        return cls(text, host=host[1:-1] if bracketed else host, port=int(port))


def open_sockets(bind: Bind) -> list[socket.socket]:
    """Listening sockets, one for each address that the host name has. Raises `PermanentError`."""
    if bind.path:
        return [_open_unix(bind)]
    if bind.passed:
        return [_passed(bind)]
    try:
        found = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _failed(bind, f"{bind.host!r} has no address: {error}") from None
    opened: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                opened.append(_open_tcp(family, address))
            except OSError as error:
                # localhost often names ::1 where there is no IPv6.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if not opened and missing is not None:
            raise missing
    except OSError as error:
        for sock in opened:
            sock.close()
        raise _failed(bind, _reason(bind, error)) from None
    return opened


def open_more(bind: Bind, beside: Sequence[socket.socket]) -> list[socket.socket]:
    """More sockets at the addresses of sockets that share their ports: the kernel spreads connections over all of them,
    evenly, which several processes at one socket would not get. Raises `PermanentError`."""
    opened: list[socket.socket] = []
    try:
        for sock in beside:
            opened.append(_open_tcp(sock.family, sock.getsockname(), several=True))
    except OSError as error:
        for sock in opened:
            sock.close()
        raise _failed(bind, _reason(bind, error)) from None
    return opened


def share_port(sock: socket.socket, several: bool) -> None:
    """Let other sockets of this user have the same address, or no more."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, several)


def open_pairs(
    bind: Bind, shared: Container[tuple[str, int]]
) -> tuple[list[socket.socket], list[socket.socket | None]]:
    """`open_sockets` and `open_beside`. The kernel's choice of a port may be taken by others for UDP: then another."""
    tries = FREE_PORT_TRIES if bind.port == 0 else 1
    while True:
        sockets = open_sockets(bind)
        try:
            return sockets, open_beside(bind, sockets, shared)
        except BaseException as error:
            for sock in sockets:
                sock.close()
            tries -= 1
            if tries == 0 or not isinstance(error, PermanentError):
                raise


def open_beside(
    bind: Bind, sockets: Sequence[socket.socket], shared: Container[tuple[str, int]]
) -> list[socket.socket | None]:
    """A UDP socket at the address of each TCP socket; None where its address is `shared`: open already. Raises
    `PermanentError`."""
    opened: list[socket.socket | None] = []
    try:
        for sock in sockets:
            opened.append(None if sock.getsockname()[:2] in shared else open_datagrams(sock))
    except OSError as error:
        for datagrams in opened:
            if datagrams is not None:
                datagrams.close()
        raise _failed(bind, f"for HTTP/3, by UDP: {_reason(bind, error, udp=True)}") from None
    return opened


def address_of(sock: socket.socket) -> str:
    """As it would be written in `bind`."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _open_tcp(family: int, address: object, *, several: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _watchful(sock)
        share_port(sock, several)
        sock.bind(address)  # type: ignore[arg-type]
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _watchful(sock: socket.socket) -> None:
    """Accepted connections inherit these: a viewer whose host has died is noticed within two minutes, one that does not
    read costs little."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    sock.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, UNSENT_LIMIT)


def _passed(bind: Bind) -> socket.socket:
    sock = inherited(bind.passed, os.environ)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        _watchful(sock)
    return sock


def _open_unix(bind: Bind) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(bind.path).st_mode):
            raise _failed(bind, "there is a file at this path that is not a socket: move it away")
        if answers(bind.path):
            raise _failed(bind, f"another process listens there{holder_of(path=bind.path)}")
        os.unlink(bind.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~bind.mode)
    try:
        sock.bind(bind.path)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _failed(bind, str(error.strerror)) from None
    finally:
        os.umask(mask)
    return sock


def answers(path: str) -> bool:
    """Whether a process listens at the path of a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def _reason(bind: Bind, error: OSError, *, udp: bool = False) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the address is in use{holder_of(port=bind.port, udp=udp)}: stop that, or choose another port"
    if error.errno == errno.EACCES:
        return f"port {bind.port} needs a privilege (CAP_NET_BIND_SERVICE), or choose one from 1024 on"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this host has no such address"
    return str(error.strerror)


def _failed(bind: Bind, why: str) -> PermanentError:
    return PermanentError(f"cannot listen on {bind.text}: {why}", reason="BindFailed")


def _invalid(text: str, why: str) -> PermanentError:
    return PermanentError(f"bind {text!r}: {why}", reason="InvalidBind")

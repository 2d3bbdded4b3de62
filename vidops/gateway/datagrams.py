"""A UDP socket beside a listening TCP socket, whose answers leave from the address that was asked.

A socket on 0.0.0.0 answers from whichever address the way back prefers, and a client that asked another one takes no
such answer for its own. So each datagram is read with the address that it came to, and each answer names it (ip(7),
IP_PKTINFO; ipv6(7), IPV6_PKTINFO).
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

IP_PKTINFO = 8
"""ip(7); Python has no name for it."""
BATCH = 64
"""Datagrams that are read before others have their turn."""
MOST_BYTES = 16 * 1024
"""Of a datagram; none that a client sends over a real network is as large."""
RECEIVE_BUFFER = 2 * 1024 * 1024
"""What the kernel holds while we are busy, as far as net.core.rmem_max allows."""
_PKTINFO4 = struct.Struct("@I4s4s")
_PKTINFO6 = struct.Struct("@16sI")

Address = tuple[str, int] | tuple[str, int, int, int]
Local = tuple[int, int, bytes]
"""The address that a datagram came to, as `sendmsg` takes it."""


def open_datagrams(beside: socket.socket) -> socket.socket:
    """On the same address and port as a bound TCP socket. Raises `OSError`."""
    sock = socket.socket(beside.family, socket.SOCK_DGRAM)
    try:
        if beside.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setblocking(False)
        sock.bind(beside.getsockname())
    except BaseException:
        sock.close()
        raise
    return sock


def received(sock: socket.socket) -> Iterator[tuple[bytes, Address, Local | None]]:
    """What is there, a batch at most."""
    for _ in range(BATCH):
        try:
            data, told, _, address = sock.recvmsg(MOST_BYTES, 64)
        except OSError:  # nothing more; or the answer to a datagram of ours that nobody took
            return
        yield data, address, _local(told)


def send(sock: socket.socket, data: bytes, address: Address, local: Local | None) -> None:
    """What does not get out is lost, as on any network: QUIC sends it again."""
    with contextlib.suppress(OSError):
        sock.sendmsg([data], [local] if local is not None else [], 0, address)


def host_of(local: Local | None) -> str | None:
    """The address in words."""
    if local is None:
        return None
    level, _, packed = local
    if level == socket.IPPROTO_IP:
        return socket.inet_ntop(socket.AF_INET, _PKTINFO4.unpack(packed)[1])
    return socket.inet_ntop(socket.AF_INET6, _PKTINFO6.unpack(packed)[0])


def _local(told: list[tuple[int, int, bytes]]) -> Local | None:
    for level, kind, data in told:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(data) >= _PKTINFO4.size:
            _, here, _ = _PKTINFO4.unpack_from(data)
            # Without an interface: the way back may be another one.
            return level, kind, _PKTINFO4.pack(0, here, bytes(4))
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) >= _PKTINFO6.size:
            here, interface = _PKTINFO6.unpack_from(data)
            linked = here[0] == 0xFE and here[1] & 0xC0 == 0x80  # such addresses are of one interface
            return level, kind, _PKTINFO6.pack(here, interface if linked else 0)
    return None

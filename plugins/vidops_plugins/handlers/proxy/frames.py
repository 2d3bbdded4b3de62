"""Where a WebSocket's frames end (RFC 6455, 5.2), in bytes that are otherwise not looked at."""

from __future__ import annotations

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection

GOING_AWAY = 1001
_LONGEST_HEAD = 14
_CLOSE = 8


class Frames:
    """One direction. `closed`: a close frame has passed, and nothing may follow."""

    __slots__ = ("_head", "_left", "_opcode", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._head = b""
        """Of a frame's head, what has passed while it is not whole."""
        self._left = 0
        """Bytes of a frame's payload that are still to come."""
        self._opcode = 0

    @property
    def between(self) -> bool:
        """Whether another frame may begin here."""
        return not self._left and not self._head

    def passed(self, data: bytes) -> int:
        """Note what passes; returns how many of these bytes end with a whole frame."""
        at, whole, size = 0, 0, len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
            else:
                known = len(self._head)
                head = self._head + data[at : at + _LONGEST_HEAD - known]
                length = _head_length(head)
                if len(head) < length:
                    self._head = head
                    break
                self._head = b""
                at += length - known
                self._opcode = head[0] & 0x0F
                self._left = _payload_length(head)
            if not self._left:
                whole = at
                self.closed = self.closed or self._opcode == _CLOSE
        return whole


def _head_length(head: bytes) -> int:
    if len(head) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + (4 if head[1] & 0x80 else 0)


def _payload_length(head: bytes) -> int:
    short = head[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(head[2:4] if short == 126 else head[2:10], "big")


def going_away(kind: ConnectionType) -> bytes:
    """The close frame of a client, which is masked, or of a server."""
    return bytes(Connection(kind).send(CloseConnection(code=GOING_AWAY)))

"""What is spoken on the hub's socket: JSON lines, and frames in binary once subscribed. Pure.

A request is one JSON object on a line, and so is its answer: {"ok": true, ...} or {"ok": false, "reason", "error"}.
After the answer to `subscribe`, the hub sends messages: a head (network byte order: type, length, sequence, capture
time in Unix seconds) and `length` bytes. The requests are listed in `vidops.hub.session`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

LINE_LIMIT = 1024 * 1024
"""Bytes of a request or an answer; a thousand cameras' states are half of it."""
MESSAGE_LIMIT = 256 * 1024 * 1024
"""Bytes of one message. What a frame may have is the hub's setting, and below this."""
FRAME, STATE, GONE, TRACK, KEY, DELTA = range(1, 7)
"""A JPEG; the camera's state as JSON; the camera is removed (empty); what the packets that follow are, as JSON
({"codec", "width", "height", "private": hex}); a packet that can be decoded by itself; one that cannot."""

_HEAD = struct.Struct("!BIQd")


class WireError(Exception):
    """The other end speaks another language: nothing that follows can be trusted."""


class WireMessage(NamedTuple):
    """`payload`: a frame (FRAME, KEY, DELTA), JSON (STATE, TRACK), nothing (GONE)."""

    type: int
    payload: bytes
    sequence: int = 0
    timestamp: float = 0.0


def encode_line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def decode_line(data: bytes) -> dict[str, Any]:
    """Raises `WireError` for what is no JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WireError("not a JSON object")
    return value


def message_head(kind: int, length: int, sequence: int = 0, timestamp: float = 0.0) -> bytes:
    return _HEAD.pack(kind, length, sequence, timestamp)


class LineReader:
    """Lines out of bytes as they arrive; what has not been taken yet stays in `rest`."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.rest = bytearray()
        self._limit = limit
        self._searched = 0

    def feed(self, data: bytes) -> None:
        self.rest += data

    def next(self) -> bytes | None:
        """The next line without its end; None where it is not whole yet. Raises `WireError` for an endless one."""
        end = self.rest.find(b"\n", self._searched)
        if end > self._limit or (end < 0 and len(self.rest) > self._limit):
            raise WireError(f"a line of more than {self._limit} bytes")
        if end < 0:
            self._searched = len(self.rest)
            return None
        line = bytes(memoryview(self.rest)[:end])
        del self.rest[: end + 1]
        self._searched = 0
        return line


class MessageReader:
    """Messages out of bytes as they arrive, each copied once."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[WireMessage]:
        """Every message that is whole now. Raises `WireError` for an unknown type or an absurd length."""
        self._buffer += data
        messages: list[WireMessage] = []
        start, available = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while available - start >= _HEAD.size:
                kind, length, sequence, timestamp = _HEAD.unpack_from(view, start)
                if not FRAME <= kind <= DELTA or length > MESSAGE_LIMIT:
                    raise WireError(f"a message of type {kind} and {length} bytes")
                end = start + _HEAD.size + length
                if end > available:
                    break
                messages.append(WireMessage(kind, bytes(view[start + _HEAD.size : end]), sequence, timestamp))
                start = end
        del self._buffer[:start]
        return messages

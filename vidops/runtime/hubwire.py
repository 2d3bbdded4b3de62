"""What the hub and its clients say to each other on `hub.sock`. Pure.

Requests and answers are one JSON object a line. After `{"op": "subscribe"}` was answered, the hub sends binary
messages: a head `!BIQd` (type, length, sequence, Unix time) and as many bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

LINE_LIMIT = 1024 * 1024
"""Bytes of a request or an answer. 10,000 cameras' states need more: then `status` is asked for one camera."""
HEAD = struct.Struct("!BIQd")
FRAME, STATE, GONE = 1, 2, 3
MESSAGE_LIMIT = 64 * 1024 * 1024


class WireError(Exception):
    """The other end speaks another language."""


class WireMessage(NamedTuple):
    """`payload`: a JPEG (FRAME), a camera's state as JSON (STATE), nothing (GONE)."""

    type: int
    sequence: int
    timestamp: float
    payload: bytes


def line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def parse_line(data: bytes) -> dict[str, Any]:
    """Raises `WireError` for what is no JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WireError("not a JSON object")
    return value


def message_head(kind: int, length: int, sequence: int = 0, timestamp: float = 0.0) -> bytes:
    return HEAD.pack(kind, length, sequence, timestamp)


class MessageParser:
    """Binary messages out of bytes as they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[WireMessage]:
        """Raises `WireError`."""
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            kind, length, sequence, timestamp = HEAD.unpack_from(self._buffer)
            if kind not in (FRAME, STATE, GONE) or length > MESSAGE_LIMIT:
                raise WireError(f"a message of type {kind} and {length} bytes")
            end = HEAD.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[HEAD.size : end])
            del self._buffer[:end]
            yield WireMessage(kind, sequence, timestamp, payload)

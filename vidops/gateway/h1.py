"""h11 as strict as the other server's parts are: what is refused does not depend on which of them is asked.

Its readers forgive more than they say (control characters in values, a length that is given twice, anything behind a
chunk's size), by narrowing its own classes (its version is pinned).
"""

from __future__ import annotations

from typing import Any

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer

from vidops.gateway import lines
from vidops.gateway.guard import Refused
from vidops.gateway.servers.chunks import Chunks

PIECE = 64 * 1024
"""Bytes of a body in chunks that are taken apart at once."""


class StrictBuffer(ReceiveBuffer):
    """Heads come whole, in lines that end in CRLF. h11 looks at the size of a head only while it is incomplete; here a
    whole one is looked at, too."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._blank = 0

    def put_back(self, data: bytes) -> None:
        """What was taken and belongs to what comes next."""
        self._data[:0] = data

    def maybe_extract_lines(self) -> list[bytearray] | None:
        data: bytearray = self._data
        if skipped := lines.blank(data, self._blank):
            self._blank += skipped
            self._extract(2 * skipped)
        end = data.find(b"\r\n\r\n")
        if end > self._limit:
            raise h11.RemoteProtocolError("the head is too large", error_status_hint=431)
        head = data if end < 0 else data[: end + 4]
        if wrong := lines.fault(head):
            raise h11.RemoteProtocolError(wrong)
        if end < 0:
            return None
        if status := lines.unfit(head):
            raise h11.RemoteProtocolError("a field of the head is none", error_status_hint=status)
        self._blank = 0
        found: list[bytearray] = self._extract(end + 4).split(b"\r\n")
        return found[:-2]

    def is_next_line_obviously_invalid_request_line(self) -> bool:
        """h11's, which does not know that an empty line may be on its way."""
        return bytes(self._data) != b"\r" and super().is_next_line_obviously_invalid_request_line()


class ChunkReader:
    """In the place of h11's, for requests."""

    def __init__(self) -> None:
        self._chunks = Chunks()

    def __call__(self, buffer: StrictBuffer) -> h11.Data | h11.EndOfMessage | None:
        while not self._chunks.done:
            piece = buffer.maybe_extract_at_most(PIECE)
            if piece is None:
                return None
            try:
                data = self._chunks.feed(bytes(piece))
            except Refused as refusal:
                raise h11.RemoteProtocolError(refusal.detail, error_status_hint=refusal.status) from None
            if self._chunks.done:
                buffer.put_back(self._chunks.rest)
            if data:
                return h11.Data(data=data)
        return h11.EndOfMessage()

    def read_eof(self) -> None:
        """h11's word for a connection that ends in a body."""
        raise h11.RemoteProtocolError("the body is not whole")


class StrictConnection(h11.Connection):
    """A server's."""

    they_are_waiting_for_100_continue = False
    """What Hypercorn asks, to tell them before anybody has looked at the request: `waits` is for who reads its body."""

    def __init__(self, limit: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=limit)
        self.waits = False
        """The client sends no body before it is told to."""
        self._receive_buffer = StrictBuffer(limit)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.waits = self.client_is_waiting_for_100_continue
        elif isinstance(event, h11.Data | h11.EndOfMessage):
            self.waits = False
        return event

    def _get_io_object(self, *given: Any) -> Any:
        made = super()._get_io_object(*given)
        return ChunkReader() if isinstance(made, ChunkedReader) else made

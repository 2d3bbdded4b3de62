"""aioquic's connections with bounds (its version is pinned): what a peer may send, and what waits to be sent to it.

aioquic doubles what a peer may send whenever half of it has come, read or unread, and takes whatever is given to it to
send. Here a peer has a window beyond what the application has read, as in HTTP/2, and a writer can see what waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pylsqpack
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import FrameType, H3Connection, Setting, encode_frame
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import MAX_STREAM_DATA_FRAME_CAPACITY, Limit, QuicConnection
from aioquic.quic.packet import QuicFrameType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from vidops.gateway.config import MAX_HEAD

STREAM_WINDOW = 256 * 1024
"""Bytes of a request that are taken before its application reads."""
CONNECTION_WINDOW = 1024 * 1024
MAX_STREAMS = 100
"""Requests beside one another on a connection."""
UNSENT_LIMIT = 64 * 1024
"""Bytes of an answer that wait for the network; beyond, its writer waits."""
UNTOLD_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer whose arrival has not been told: beyond, its writer waits, however much the peer says it takes."""


class _Credit(Limit):
    """`value` is what has come, less what nobody has read yet (`held`), and a window; aioquic's doubling is ignored."""

    def __init__(self, held: Callable[[], int]) -> None:
        self._held = held
        self._granted = CONNECTION_WINDOW
        super().__init__(QuicFrameType.MAX_DATA, "max_data", CONNECTION_WINDOW)

    @property
    def value(self) -> int:
        self._granted = _raised(self._granted, self.used - self._held(), CONNECTION_WINDOW)
        return self._granted

    @value.setter
    def value(self, wanted: int) -> None:
        """Limits are raised by reading."""


class BoundedQuic(QuicConnection):
    """`held`: bytes by stream that the application has not taken yet."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.held: dict[int, int] = {}
        self._local_max_data = _Credit(self._unread)
        self._local_max_streams_bidi = Limit(QuicFrameType.MAX_STREAMS_BIDI, "max_streams_bidi", MAX_STREAMS)

    def _unread(self) -> int:
        """What came out of order is held here, with the gaps before it."""
        return sum(self.held.values()) + sum(len(one.receiver._buffer) for one in self._streams.values())

    def hold(self, stream_id: int, size: int) -> None:
        self.held[stream_id] = self.held.get(stream_id, 0) + size

    def take(self, stream_id: int, size: int) -> None:
        """The application has taken so many bytes: as many more may come."""
        if stream_id in self.held:
            self.held[stream_id] -= size

    def release(self, stream_id: int, code: int) -> None:
        """Nobody reads that stream any more."""
        self.held.pop(stream_id, None)
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            self.stop_stream(stream_id, code)

    def answerable(self, stream_id: int) -> bool:
        """Whether the peer still wants what is sent on that stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.sender._reset_error_code is None

    def crowded(self, stream_id: int) -> bool:
        """Whether a writer has to wait before it gives out more."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        out = stream.sender
        return (
            out._buffer_stop - out.highest_offset > UNSENT_LIMIT or out._buffer_stop - out._buffer_start > UNTOLD_LIMIT
        )

    @property
    def answers_arrived(self) -> bool:
        """Whether the peer has told of all that was sent on its requests' streams."""
        return all(stream.sender.is_finished for number, stream in self._streams.items() if number % 4 == 0)

    @property
    def validated_peer(self) -> Any:
        """The address that is known to be the peer's; None while it has moved and not answered there."""
        path = self._network_paths[0]
        return path.addr if path.is_validated else None

    def _write_stream_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream) -> None:
        """aioquic's, with a window instead of doubling."""
        if stream.max_stream_data_local and not stream.receiver.is_finished:
            read = stream.receiver.starting_offset() - self.held.get(stream.stream_id or 0, 0)
            stream.max_stream_data_local = _raised(stream.max_stream_data_local, read, STREAM_WINDOW)
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            buffer = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            buffer.push_uint_var(stream.stream_id or 0)
            buffer.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local


class BoundedHttp(H3Connection):
    """aioquic's, without tables that fields of other messages would be looked up in: a short head stays a short one, no
    request waits for another's, and nothing is kept here to make answers shorter, whatever size a client offers."""

    def __init__(self, quic: BoundedQuic) -> None:
        super().__init__(quic)
        self._decoder = pylsqpack.Decoder(0, 0)

    def _get_local_settings(self) -> dict[int, int]:
        return {
            Setting.QPACK_MAX_TABLE_CAPACITY: 0,
            Setting.QPACK_BLOCKED_STREAMS: 0,
            Setting.MAX_FIELD_SECTION_SIZE: MAX_HEAD,
            Setting.ENABLE_CONNECT_PROTOCOL: 1,
        }

    def _validate_settings(self, settings: dict[int, int]) -> None:
        super()._validate_settings(settings)
        # How large a table for our answers a client would keep; the encoder would hold as much, for as long.
        settings.pop(Setting.QPACK_MAX_TABLE_CAPACITY, None)

    def forget(self, stream_id: int) -> None:
        """Its answer was broken off at QUIC's level, of which aioquic's HTTP/3 does not know."""
        stream = self._stream.get(stream_id)
        if stream is not None:
            stream.sending_ended = True
            if stream.is_ended():
                del self._stream[stream_id]

    def unread(self, stream_id: int) -> int:
        """Bytes of a frame that is not complete."""
        stream = self._stream.get(stream_id)
        return len(stream.buffer) if stream is not None else 0

    def go_away(self, stream_id: int) -> None:
        """No request from this one on is answered (RFC 9114, 5.2)."""
        if self._local_control_stream_id is not None:
            frame = encode_frame(FrameType.GOAWAY, encode_uint_var(stream_id))
            self._quic.send_stream_data(self._local_control_stream_id, frame)


def _raised(granted: int, read: int, window: int) -> int:
    """A new limit once half of the window is read: one for each datagram would be a frame for each."""
    return read + window if read + window - granted >= window // 2 else granted


def settings(**given: Any) -> QuicConfiguration:
    return QuicConfiguration(is_client=False, max_data=CONNECTION_WINDOW, max_stream_data=STREAM_WINDOW, **given)

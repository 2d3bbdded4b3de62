"""Packets of H.264 and HEVC as fragmented MP4, a fragment a frame, which browsers play as it grows. Pure.

Source: ISO/IEC 14496-12 (boxes), 14496-15 (avc1, hvc1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vidops.api import VideoPacket, VideoTrack

TIMESCALE = 90_000
"""Units of time a second."""
SAMPLE_ENTRY = {"h264": (b"avc1", b"avcC"), "hevc": (b"hvc1", b"hvcC")}
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_KEY, _DELTA = 0x02000000, 0x01010000
"""Sample flags: depends on no other; depends on others, and is no sync sample."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One frame; `time` (of `TIMESCALE`, on the host's clock) goes between head and tail, less the stream's first."""

    head: bytes
    time: int
    tail: bytes
    key: bool

    def at(self, origin: int) -> bytes:
        """Its bytes, in a stream that began at `origin`."""
        return b"".join((self.head, struct.pack(">Q", max(0, self.time - origin)), self.tail))


def begin(track: VideoTrack) -> bytes:
    """What a stream of fragments begins with (`ftyp`, `moov`). Raises `KeyError` for another codec."""
    entry, configuration = SAMPLE_ENTRY[track.codec]
    visual = (
        bytes(6)
        + struct.pack(">H16xHHIIIH32xHh", 1, track.width, track.height, 0x480000, 0x480000, 0, 1, 0x18, -1)
        + _box(configuration, track.private)
    )
    table = _box(
        b"stbl",
        _full(b"stsd", 0, struct.pack(">I", 1), _box(entry, visual)),
        *(_full(name, 0, bytes(4)) for name in (b"stts", b"stsc", b"stco")),
        _full(b"stsz", 0, bytes(8)),
    )
    data = _box(b"dinf", _full(b"dref", 0, struct.pack(">I", 1), _full(b"url ", 1)))
    media = _box(
        b"mdia",
        _full(b"mdhd", 0, struct.pack(">IIIIHH", 0, 0, TIMESCALE, 0, 0x55C4, 0)),
        _full(b"hdlr", 0, bytes(4), b"vide", bytes(12), b"video\0"),
        _box(b"minf", _full(b"vmhd", 1, bytes(8)), data, table),
    )
    header = struct.pack(">IIIII8xhhhH", 0, 0, 1, 0, 0, 0, 0, 0, 0) + _MATRIX
    movie = _box(
        b"moov",
        _full(b"mvhd", 0, struct.pack(">IIIIIH10x", 0, 0, 1000, 0, 0x10000, 0x100), _MATRIX, bytes(24), b"\0\0\0\2"),
        _box(
            b"trak",
            _full(b"tkhd", 3, header, struct.pack(">II", track.width << 16, track.height << 16)),
            media,
        ),
        _box(b"mvex", _full(b"trex", 0, struct.pack(">IIIII", 1, 1, 0, 0, 0))),
    )
    return _box(b"ftyp", b"isom\0\0\2\0isomiso6mp41") + movie


def fragment(packet: VideoPacket, duration: int) -> Fragment:
    """One frame; `duration`: how long it is shown as far as is known, of `TIMESCALE`."""
    size = len(packet.data)
    flags = _KEY if packet.key else _DELTA
    time_box = _full(b"tfdt", 0x01000000, bytes(8))
    track = _full(b"tfhd", 0x020000, struct.pack(">I", 1))
    run_size = 8 + 4 + 8 + 12
    before = 8 + 16 + 8 + len(track) + len(time_box)
    run = _full(b"trun", 0x701, struct.pack(">IiIII", 1, before + run_size + 8, duration, size, flags))
    movie = _box(
        b"moof",
        _full(b"mfhd", 0, struct.pack(">I", packet.sequence & 0xFFFFFFFF)),
        _box(b"traf", track, time_box, run),
    )
    split = before - 8
    tail = movie[before:] + struct.pack(">I", 8 + size) + b"mdat" + packet.data
    return Fragment(movie[:split], round(packet.timestamp * TIMESCALE), tail, packet.key)


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full(kind: bytes, version_and_flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version_and_flags), *parts)

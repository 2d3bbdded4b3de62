"""A live Matroska stream taken apart: bytes in, one video track and its packets out. Sans-IO, bounded.

As much of the format as FFmpeg's muxer and `runtime.matroska` write to a pipe: segments and clusters of known or
unknown size, SimpleBlocks and BlockGroups without lacing, no content encodings. Where an element's children are to be
seen the reader steps over its head alone, so that nothing is kept but what is still to become a packet.

Source: RFC 9559 (Matroska), RFC 8794 (EBML).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vidops.runtime.matroska import CODEC_IDS, Track

_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SCALE, _TIMESTAMP, _SIMPLE_BLOCK, _GROUP, _BLOCK, _REFERENCE = 0x2AD7B1, 0xE7, 0xA3, 0xA0, 0xA1, 0xFB
_ENTRY, _NUMBER, _TYPE, _CODEC, _PRIVATE, _VIDEO = 0xAE, 0xD7, 0x83, 0x86, 0x63A2, 0xE0
_WIDTH, _HEIGHT, _ENCODINGS = 0xB0, 0xBA, 0x6D80
_STEPPED_INTO = (_SEGMENT, _CLUSTER)
_WHOLE = (_INFO, _TRACKS, _TIMESTAMP, _SIMPLE_BLOCK, _GROUP)
_BLOCKS = (_SIMPLE_BLOCK, _GROUP)
_CODECS = {name: codec for codec, name in CODEC_IDS.items()}
HEADER_LIMIT = 1024 * 1024
"""Bytes of Info, Tracks and the like."""
_ROOM = 4096
"""Bytes that a BlockGroup may have beside its block."""


class BrokenMatroskaError(Exception):
    """What comes is no Matroska that could be read on."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame as the codec has it. `time`: when it is to be shown, in seconds of the stream's own clock."""

    data: bytes
    key: bool
    time: float


@dataclass(frozen=True, slots=True)
class Oversized:
    """A frame of more than the limit's bytes, which is skipped."""

    length: int


Event = Track | Packet | Oversized


class MatroskaReader:
    """Feed it what arrives; it yields the `Track` and then each packet once it is whole.

    Memory: at most one frame of `max_frame` bytes, its head, and what one `feed` brought.
    """

    def __init__(self, max_frame: int) -> None:
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._skip = 0
        self._began = False
        self._scale = 1_000_000
        self._cluster = 0
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Event]:  # noqa: PLR0912 - one loop over the elements
        """Raises `BrokenMatroskaError`; the reader is of no use after that."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while True:
                if self._skip:
                    gone = min(self._skip, len(buffer) - at)
                    at += gone
                    self._skip -= gone
                    if self._skip:
                        return
                found = _element(buffer, at, len(buffer))
                if found is None:
                    return
                identifier, size, content = found
                if not self._began and identifier != _EBML:
                    raise BrokenMatroskaError("it does not begin like Matroska")
                self._began = True
                if identifier in _STEPPED_INTO:
                    at = content
                    continue
                if size is None:
                    raise BrokenMatroskaError(f"element {identifier:X} has no size")
                if identifier not in _WHOLE:
                    self._skip, at = size, content
                elif size > (self._max_frame + _ROOM if identifier in _BLOCKS else HEADER_LIMIT):
                    if identifier not in _BLOCKS:
                        raise BrokenMatroskaError(f"element {identifier:X} has {size} bytes")
                    self._skip, at = size, content
                    yield Oversized(size)
                elif len(buffer) - content < size:
                    return
                else:
                    event = self._take(identifier, bytes(memoryview(buffer)[content : content + size]))
                    at = content + size
                    if event is not None:
                        yield event
        finally:
            del buffer[:at]

    def _take(self, identifier: int, content: bytes) -> Event | None:
        if identifier == _INFO:
            for child, value in _children(content):
                if child == _SCALE:
                    self._scale = _number(value)
        elif identifier == _TRACKS:
            if not self._number:
                return self._choose(content)
        elif identifier == _TIMESTAMP:
            self._cluster = _number(content)
        elif identifier == _SIMPLE_BLOCK:
            return self._block(content, key=None)
        else:
            children = list(_children(content))
            references = any(child == _REFERENCE for child, _ in children)
            for child, value in children:
                if child == _BLOCK:
                    return self._block(value, key=not references)
        return None

    def _choose(self, content: bytes) -> Track:
        """The first video track."""
        for child, entry in _children(content):
            if child != _ENTRY:
                continue
            fields = dict(_children(entry))
            if _number(fields.get(_TYPE, b"")) != 1:
                continue
            name = fields.get(_CODEC, b"").rstrip(b"\0").decode("ascii", "replace")
            if name not in _CODECS:
                raise BrokenMatroskaError(f"codec {name[:40]!r} is none of {', '.join(_CODECS)}")
            if _ENCODINGS in fields:
                raise BrokenMatroskaError("its frames are packed by a content encoding")
            self._number = _number(fields.get(_NUMBER, b""))
            video = dict(_children(fields.get(_VIDEO, b"")))
            width, height = _number(video.get(_WIDTH, b"")), _number(video.get(_HEIGHT, b""))
            if not 0 < self._number < 127 or not 0 < width <= 65535 or not 0 < height <= 65535:
                raise BrokenMatroskaError("its video track has no number or no size")
            return Track(_CODECS[name], width, height, fields.get(_PRIVATE, b""))
        raise BrokenMatroskaError("it has no video track")

    def _block(self, content: bytes, *, key: bool | None) -> Packet | Oversized | None:
        """A block: the track's number, a signed 16-bit time, flags, the frame."""
        if not self._number:
            raise BrokenMatroskaError("a frame comes before its track")
        if len(content) < 4 or content[0] != 0x80 | self._number:
            return None
        flags = content[3]
        if flags & 0x06:
            raise BrokenMatroskaError("its frames are laced")
        data = content[4:]
        if len(data) > self._max_frame:
            return Oversized(len(data))
        if not data:
            return None
        relative = int.from_bytes(content[1:3], "big", signed=True)
        time = (self._cluster + relative) * self._scale / 1e9
        return Packet(data, bool(flags & 0x80) if key is None else key, time)


def _element(data: bytearray | bytes, at: int, end: int) -> tuple[int, int | None, int] | None:
    """An element's id, its size (None: unknown) and where its content begins; None where its head is not whole."""
    if at >= end:
        return None
    length = 9 - data[at].bit_length()
    if length > 4:
        raise BrokenMatroskaError("there is no element where one should be")
    if at + length >= end:
        return None
    identifier = int.from_bytes(data[at : at + length], "big")
    at += length
    length = 9 - data[at].bit_length()
    if length > 8:
        raise BrokenMatroskaError("an element's size has more than eight bytes")
    if at + length > end:
        return None
    bits = 7 * length
    size = int.from_bytes(data[at : at + length], "big") & ((1 << bits) - 1)
    return identifier, None if size == (1 << bits) - 1 else size, at + length


def _children(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        found = _element(content, at, len(content))
        if found is None or found[1] is None or found[2] + found[1] > len(content):
            raise BrokenMatroskaError("an element is larger than what it is in")
        identifier, size, begin = found
        at = begin + (size or 0)
        yield identifier, content[begin:at]


def _number(content: bytes) -> int:
    if len(content) > 8:
        raise BrokenMatroskaError("a number has more than eight bytes")
    return int.from_bytes(content, "big")

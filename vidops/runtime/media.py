"""What a segment holds: frames, duration, codec, read from its container's heads alone.

A few reads a second of video, so that every finished segment can be looked at without starting a prober for each. Any
bytes may come: all reading is bounded, and what cannot be understood is told as unknown, not as an error.

Sources: ISO/IEC 14496-12 (fragmented MP4), RFC 9559 and RFC 8794 (Matroska); transport streams: `media_ts`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import pairwise

from vidops.runtime.media_ts import CLOCK, TransportStream

MOST_ELEMENTS = 300_000
"""Heads that are read of one file: three hours at 30 frames a second in Matroska, days in MP4."""
MOST_FRAMES = 10_000_000
"""Four days at 30 a second."""
LEAST_GAP = 0.1
"""Seconds; less than that lies between two frames."""
MOST_HOLES = 32
USUAL = 2.5
"""So many times as far apart as their neighbours, frames are missing between two."""
_HEAD = 64
_LARGEST_TABLE = 4 * 1024 * 1024
_MP4_CODECS = {b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"mp4v": "mjpeg", b"jpeg": "mjpeg"}
_MKV_CODECS = {b"V_MJPEG": "mjpeg", b"V_MPEG4/ISO/AVC": "h264", b"V_MPEGH/ISO/HEVC": "hevc"}


@dataclass(frozen=True, slots=True)
class Media:
    """Of a file's first video track. `duration`: seconds from its first frame to the end of its last; `interval`:
    seconds from one frame to the next, as most are apart. `holes`: from and to when frames are missing, in seconds from
    the first frame; of too many, the longest `MOST_HOLES`."""

    frames: int
    duration: float
    codec: str
    interval: float = 0.0
    holes: tuple[tuple[float, float], ...] = ()


def least_gap(interval: float) -> float:
    """Seconds from which on something is missing between two frames that should be `interval` apart."""
    return LEAST_GAP + 1.5 * interval


class _GaveUpError(Exception):
    """No such container, or more of it than is looked at."""


def inspect(path: str) -> Media | None:
    """None where the file cannot be read as a video of a known container."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        start = os.pread(descriptor, 12, 0)
        if start.startswith(b"\x1a\x45\xdf\xa3"):
            return _Matroska(descriptor, size).read()
        if start[:1] == b"\x47":
            return _transport_stream(descriptor, size)
        if start[4:8] in (b"ftyp", b"moov", b"styp"):
            return _Mp4(descriptor, size).read()
    except (OSError, _GaveUpError, struct.error, ValueError, LookupError):
        pass
    finally:
        os.close(descriptor)
    return None


def _transport_stream(descriptor: int, size: int) -> Media | None:
    stream = TransportStream()
    stream.read(descriptor, size)
    return _media(stream.moments(), 1 / CLOCK, stream.codec)


def _media(times: list[int], tick: float, codec: str) -> Media | None:
    """Of frames that begin at these times, in ticks of so many seconds. The last one lasts as long as most do: a live
    writer did not know how long it would."""
    if not times:
        return None
    times.sort()
    apart = sorted(after - before for before, after in pairwise(times))
    interval = apart[len(apart) // 2] * tick if apart else 0.0
    holes = _holes(times, tick, interval) if apart and apart[-1] * tick >= interval + least_gap(interval) else ()
    return Media(len(times), (times[-1] - times[0]) * tick + interval, codec, interval, holes)


def _holes(times: list[int], tick: float, interval: float) -> tuple[tuple[float, float], ...]:
    """Of frames in order. A hole begins when the frame before it should have ended. Where the frames beside it are as
    far apart, nothing is missing: the camera has become slower."""
    least = interval + least_gap(interval)
    apart = [after - before for before, after in pairwise(times)]
    found = (
        ((times[at] - times[0]) * tick + interval, (times[at + 1] - times[0]) * tick)
        for at, length in enumerate(apart)
        if length * tick >= least
        and length > USUAL * max(apart[max(0, at - 1) : at] + apart[at + 1 : at + 2], default=0)
    )
    return tuple(sorted(nlargest(MOST_HOLES, found, key=lambda hole: hole[1] - hole[0])))


@dataclass
class _Reader:
    """Reads at places, and counts how often."""

    descriptor: int
    size: int
    looked: int = 0

    def at(self, position: int, length: int) -> bytes:
        self.looked += 1
        if self.looked > MOST_ELEMENTS:
            raise _GaveUpError
        return os.pread(self.descriptor, length, position)


# -- fragmented MP4 --------------------------------------------------------------------------------------------


@dataclass
class _Mp4(_Reader):
    track: int = 0
    timescale: int = 0
    codec: str = ""
    default_duration: int = 0
    times: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    """When the frames of a fragment begin whose pictures have not been seen yet."""

    def read(self) -> Media | None:
        for kind, body, end in self.boxes(0, self.size):
            if kind == b"moov":
                self.movie(body, end)
            elif kind == b"moof":
                self.pending = list(self.fragment(body, end))
            elif kind == b"mdat" and end <= self.size:
                # A fragment that was cut off is no footage that can be counted on.
                self.take()
        return _media(self.times, 1 / self.timescale, self.codec) if self.timescale else None

    def take(self) -> None:
        self.times += self.pending
        self.pending = []
        if len(self.times) > MOST_FRAMES:
            raise _GaveUpError

    def boxes(self, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Kind, begin of the body and end of each box; the last may reach beyond the file."""
        while position + 8 <= end:
            head = self.at(position, 16)
            if len(head) < 8:
                return
            length, kind, body = int.from_bytes(head[:4]), head[4:8], position + 8
            if length == 1 and len(head) == 16:
                length, body = int.from_bytes(head[8:16]), position + 16
            elif length == 0:
                length = end - position
            if length < body - position:
                raise _GaveUpError
            yield kind, body, position + length
            position += length

    def movie(self, position: int, end: int) -> None:
        for kind, body, last in self.boxes(position, end):
            if kind == b"trak" and not self.track:
                self.track_of(body, last)
            elif kind == b"mvex":
                for inner, begin, _ in self.boxes(body, last):
                    trex = self.at(begin, 24) if inner == b"trex" else b""
                    if len(trex) == 24 and int.from_bytes(trex[4:8]) == self.track:
                        self.default_duration = int.from_bytes(trex[12:16])

    def track_of(self, position: int, end: int) -> None:
        """Take a track's facts over, where it is of video."""
        identifier = timescale = 0
        codec, video = "", False
        for path, body in self.walk(position, end, (b"mdia", b"minf", b"stbl")):
            data = self.at(body, _HEAD)
            if path == b"tkhd":
                identifier = int.from_bytes(data[20:24] if data[:1] == b"\x01" else data[12:16])
            elif path == b"mdhd":
                timescale = int.from_bytes(data[20:24] if data[:1] == b"\x01" else data[12:16])
            elif path == b"hdlr":
                video = video or data[8:12] == b"vide"
            elif path == b"stsd":
                codec = _named(_MP4_CODECS, data[12:16])
        if video and timescale:
            self.track, self.timescale, self.codec = identifier, timescale, codec

    def walk(self, position: int, end: int, into: tuple[bytes, ...]) -> Iterator[tuple[bytes, int]]:
        for kind, body, last in self.boxes(position, end):
            if kind in into:
                yield from self.walk(body, last, into)
            else:
                yield kind, body

    def fragment(self, position: int, end: int) -> Iterator[int]:
        for kind, body, last in self.boxes(position, end):
            if kind == b"traf":
                yield from self.run_of(body, last)

    def run_of(self, position: int, end: int) -> Iterator[int]:
        """When the frames of the video track's runs are shown."""
        begin, default = 0, self.default_duration
        for kind, body, last in self.boxes(position, end):
            data = self.at(body, _HEAD)
            flags = int.from_bytes(data[1:4])
            if kind == b"tfhd":
                if int.from_bytes(data[4:8]) != self.track:
                    return
                place = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
                default = int.from_bytes(data[place : place + 4]) if flags & 0x8 else default
            elif kind == b"tfdt":
                begin = int.from_bytes(data[4:12] if data[:1] == b"\x01" else data[4:8])
            elif kind == b"trun":
                count = int.from_bytes(data[4:8])
                if count > MOST_FRAMES:
                    raise _GaveUpError
                for duration, delay in self.samples(body, last, int.from_bytes(data[:1]), flags, count):
                    yield begin + delay
                    begin += default if duration is None else duration

    def samples(self, body: int, last: int, version: int, flags: int, count: int) -> Iterator[tuple[int | None, int]]:
        """Each frame of a run: its duration, where the run says it, and how much later than decoded it is shown."""
        each = 4 * bin(flags & 0xF00).count("1")
        place = body + 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
        if count * each > min(last - place, _LARGEST_TABLE):
            raise _GaveUpError
        table = self.at(place, count * each) if each else b""
        # A record is: duration, size, flags, delay, each of them only where the run's flags say so.
        for start in range(0, len(table), each) if each else [0] * count:
            record = table[start : start + each]
            duration = int.from_bytes(record[:4]) if flags & 0x100 else None
            delay = int.from_bytes(record[-4:], signed=version > 0) if flags & 0x800 else 0
            yield duration, delay


# -- Matroska --------------------------------------------------------------------------------------------------

_SEGMENT, _CLUSTER, _TRACKS, _INFO = 0x18538067, 0x1F43B675, 0x1654AE6B, 0x1549A966
_TRACK_ENTRY, _BLOCK_GROUP, _BLOCK, _SIMPLE_BLOCK = 0xAE, 0xA0, 0xA1, 0xA3
_MASTERS = (_SEGMENT, _CLUSTER, _TRACKS, _INFO, _TRACK_ENTRY, _BLOCK_GROUP)


@dataclass
class _Matroska(_Reader):
    scale: int = 1_000_000
    track: int = 0
    codec: str = ""
    cluster: int = 0
    times: list[int] = field(default_factory=list)
    entry: dict[int, int | bytes] = field(default_factory=dict)

    def read(self) -> Media | None:
        self.walk(0, self.size)
        return _media(self.times, self.scale / 1e9, self.codec)

    def walk(self, position: int, end: int) -> None:
        """Masters are entered where they stand: a live stream's have no known end, so theirs is the next sibling."""
        while position < end:
            head = self.at(position, 12)
            identifier, used = _vint(head, keep=True)
            length, more = _vint(head[used:], keep=False)
            if not used or not more:
                return
            body = position + used + more
            if identifier == _TRACK_ENTRY:
                self.entry = {}
            if identifier in _MASTERS:
                position = body
                continue
            if body + length > self.size:
                return
            self.element(identifier, body, length)
            position = body + length

    def element(self, identifier: int, body: int, length: int) -> None:
        if identifier in (_SIMPLE_BLOCK, _BLOCK):
            data = self.at(body, 12)
            number, used = _vint(data, keep=False)
            if number == self.track and used:
                (relative,) = struct.unpack(">h", data[used : used + 2])
                self.times.append(self.cluster + relative)
        elif identifier == 0xE7:  # Timestamp of a cluster
            self.cluster = int.from_bytes(self.at(body, min(length, 8)))
        elif identifier == 0x2AD7B1:  # TimestampScale
            self.scale = int.from_bytes(self.at(body, min(length, 8))) or 1_000_000
        elif identifier in (0xD7, 0x83, 0x86):  # TrackNumber, TrackType, CodecID
            data = self.at(body, min(length, 32))
            self.entry[identifier] = data if identifier == 0x86 else int.from_bytes(data)
            if not self.track and self.entry.keys() >= {0xD7, 0x83, 0x86} and self.entry[0x83] == 1:
                self.track = int(self.entry[0xD7])
                self.codec = _named(_MKV_CODECS, bytes(self.entry[0x86]))


def _named(known: dict[bytes, str], identifier: bytes) -> str:
    """A codec by FFmpeg's name, or as the container calls it."""
    text = identifier.decode("ascii", "replace").strip("\0 ")
    return known.get(identifier, text if text.isprintable() else "")


def _vint(data: bytes, *, keep: bool) -> tuple[int, int]:
    """An EBML variable-size integer and its length in bytes; (0, 0) where it is none. `keep` the marker, as in IDs."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length])
    return (value if keep else value & ((1 << 7 * length) - 1)), length

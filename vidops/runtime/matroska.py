"""Frames as a live Matroska stream, so that FFmpeg takes over each frame's capture time and size. Pure.

Multipart JPEG has no clock: FFmpeg's demuxer for it counts in 1/25 s, and its raw MJPEG demuxer must see the next
frame to end one. Here every frame is a cluster of its own with an absolute time, so what follows a stream's head
is the same bytes for every reader, whenever it joined.

Source: RFC 9559 (Matroska), RFC 8794 (EBML). Element IDs as in RFC 9559, section 27.1.
"""

from __future__ import annotations

from vidops.ports import VideoTrack

CODEC_IDS = {"mjpeg": "V_MJPEG", "h264": "V_MPEG4/ISO/AVC", "hevc": "V_MPEGH/ISO/HEVC"}
"""By FFmpeg's names. RFC 9559 leaves the list to draft-ietf-cellar-codec."""


Track = VideoTrack
"""What a stream of frames is."""

UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
"""An element that ends where its parent's next sibling begins: what a live stream has to write."""

_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_TIMESTAMP, _SIMPLE_BLOCK = b"\xe7", b"\xa3"
_KEY_FRAME = 0x80


def head(track: Track) -> bytes:
    """What a stream begins with: one video track, times in milliseconds."""
    ebml = _element(
        _EBML,
        _uint(b"\x42\x86", 1),  # EBMLVersion
        _uint(b"\x42\xf7", 1),  # EBMLReadVersion
        _uint(b"\x42\xf2", 4),  # EBMLMaxIDLength
        _uint(b"\x42\xf3", 8),  # EBMLMaxSizeLength
        _element(b"\x42\x82", b"matroska"),  # DocType
        _uint(b"\x42\x87", 4),  # DocTypeVersion
        _uint(b"\x42\x85", 2),  # DocTypeReadVersion
    )
    info = _element(
        b"\x15\x49\xa9\x66",
        _uint(b"\x2a\xd7\xb1", 1_000_000),  # TimestampScale: nanoseconds a tick
        _element(b"\x4d\x80", b"vidops"),  # MuxingApp
        _element(b"\x57\x41", b"vidops"),  # WritingApp
    )
    private = _element(b"\x63\xa2", track.private) if track.private else b""
    entry = _element(
        b"\xae",
        _uint(b"\xd7", 1),  # TrackNumber
        _uint(b"\x73\xc5", 1),  # TrackUID
        _uint(b"\x83", 1),  # TrackType: video
        _uint(b"\x9c", 0),  # FlagLacing
        _element(b"\x86", CODEC_IDS[track.codec].encode()),  # CodecID
        private,
        _element(b"\xe0", _uint(b"\xb0", track.width), _uint(b"\xba", track.height)),  # Video: Pixel{Width,Height}
    )
    return ebml + _SEGMENT + UNKNOWN_SIZE + info + _element(b"\x16\x54\xae\x6b", entry)


def frame_head(size: int, timestamp: float, *, key: bool = True) -> bytes:
    """What goes before a frame of `size` bytes that was captured at `timestamp` (Unix seconds).

    A cluster with a known size: a reader has the frame as soon as its last byte is there.
    """
    stamp = _uint(_TIMESTAMP, round(timestamp * 1000))
    block = b"\x81\x00\x00" + bytes([_KEY_FRAME if key else 0])  # track 1, no time beyond the cluster's
    block_head = _SIMPLE_BLOCK + _size(len(block) + size) + block
    return _CLUSTER + _size(len(stamp) + len(block_head) + size) + stamp + block_head


def _element(identifier: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return identifier + _size(len(content)) + content


def _uint(identifier: bytes, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _size(length: int) -> bytes:
    """A length as an EBML variable-size integer of eight bytes or, where it fits, one."""
    return bytes([0x80 | length]) if length < 127 else (1 << 56 | length).to_bytes(8, "big")

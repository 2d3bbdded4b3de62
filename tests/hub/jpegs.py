"""Small JPEGs, made by hand: whole as far as the hub looks."""

from __future__ import annotations


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def frame_header(width: int, height: int, marker: int = 0xC0) -> bytes:
    return segment(
        marker, b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x03" + b"\x01\x22\x00" * 3
    )


def jpeg(width: int = 16, height: int = 8, *, filling: bytes = b"", before: bytes = b"", marker: int = 0xC0) -> bytes:
    scan = segment(0xDA, b"\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00")
    header = frame_header(width, height, marker)
    return b"\xff\xd8" + before + segment(0xE0, b"JFIF\0") + header + scan + filling + b"\xff\xd9"

"""Bodies as they were before they were compressed, bounded: a kilobyte can unpack to a gigabyte."""

from __future__ import annotations

import io
import zlib


class Undecodable(Exception):
    """Not what it says it is, a coding that we do not know, or larger than the limit."""


def decoded(data: bytes, coding: str, limit: int) -> bytes:
    """Raises `Undecodable`."""
    try:
        match coding:
            case "" | "identity":
                found = data
            case "gzip" | "x-gzip":
                found = _inflated(data, 31, limit)
            case "deflate":
                found = _inflated(data, 15, limit)
            case "br":
                found = _brotli(data, limit)
            case "zstd":
                import zstandard

                try:
                    reader = zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(io.BytesIO(data))
                    found = reader.read(limit + 1)
                except zstandard.ZstdError as error:
                    raise Undecodable(str(error)) from None
            case _:
                raise Undecodable(f"the coding {coding}")
    except zlib.error as error:
        raise Undecodable(str(error)) from None
    if len(found) > limit:
        raise Undecodable(f"more than {limit} bytes")
    return found


def _inflated(data: bytes, window: int, limit: int) -> bytes:
    way = zlib.decompressobj(window)
    found = way.decompress(data, limit + 1)
    if not way.eof and len(found) <= limit:
        raise Undecodable("it is cut off")
    return found


def _brotli(data: bytes, limit: int) -> bytes:
    import brotli

    way = brotli.Decompressor()
    try:
        found: bytes = way.process(data, output_buffer_limit=limit + 1)
        while not way.is_finished() and len(found) <= limit:
            more = way.process(b"", output_buffer_limit=limit + 1 - len(found))
            if not more:
                raise Undecodable("it is cut off")
            found += more
    except brotli.error as error:
        raise Undecodable(str(error)) from None
    return found

"""FFmpeg's `-f mpjpeg` taken apart: bytes in, parts out. Sans-IO, bounded.

Each part is `--<boundary>`, header lines with Content-length, an empty line, the content, and a line end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HEAD_LIMIT = 4096
"""Bytes from one part's content to the next's."""


class BrokenStreamError(Exception):
    """What comes is not multipart with lengths: where a part begins cannot be known any more."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A part of more than the limit's bytes, which is skipped."""

    length: int


class MultipartParser:
    """Feed it what arrives; it yields each part's content once it is whole.

    Memory: at most one part of `max_part` bytes, its head, and what one `feed` brought.
    """

    def __init__(self, max_part: int) -> None:
        self.max_part = max_part
        self._buffer = bytearray()
        self._length = -1
        self._skip = 0

    def feed(self, data: bytes) -> Iterator[bytes | TooLarge]:
        """Raises `BrokenStreamError`; the parser is of no use after that."""
        buffer = self._buffer
        buffer += data
        while True:
            if self._skip:
                gone = min(self._skip, len(buffer))
                del buffer[:gone]
                self._skip -= gone
                if self._skip:
                    return
            if self._length < 0:
                if not self._head():
                    return
                if self._length > self.max_part:
                    yield TooLarge(self._length)
                    self._skip, self._length = self._length, -1
                    continue
            if len(buffer) < self._length:
                return
            part = bytes(memoryview(buffer)[: self._length])
            del buffer[: self._length]
            self._length = -1
            yield part

    def _head(self) -> bool:
        """Take a part's head off the buffer; False where it has not come yet."""
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT + 4)
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise BrokenStreamError(f"no part within {HEAD_LIMIT} bytes")
            return False
        lines = bytes(self._buffer[:end]).strip(b"\r\n").split(b"\r\n")
        del self._buffer[: end + 4]
        if not lines[0].startswith(b"--"):
            raise BrokenStreamError("a part does not begin with its boundary")
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                self._length = _number(value.strip())
                return True
        raise BrokenStreamError("a part has no Content-length")


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 12:
        raise BrokenStreamError("a part's Content-length is no number")
    return int(text)

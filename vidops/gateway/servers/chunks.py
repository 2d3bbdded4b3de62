"""A body in chunks (RFC 9112, 7.1), taken apart. Pure.

By hand, since llhttp does not say where a message ends within what it was fed, and what follows is the next request's
head, which has to be seen whole. Stricter than most: no space around a size, lines end in CRLF, and what is not body
is bounded.
"""

from __future__ import annotations

import re

from vidops.gateway.guard import MAX_HEADERS, Refused

MAX_LINE = 4096
"""Bytes of one chunk's size with its extensions."""
MAX_EXTENSIONS = 16 * 1024
"""Bytes of all the extensions of one body: nobody reads them, and they are work."""
MAX_TRAILERS = 16 * 1024

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})((?:;%b(?:=(?:%b|%b))?)*)" % (_TOKEN, _TOKEN, _QUOTED))
_TRAILER = re.compile(rb"%b:[\t\x20-\x7e\x80-\xff]*" % _TOKEN)


class Chunks:
    """`feed` what comes until `done`; `rest` is what came behind the end."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._pending = b""
        """The beginning of a line, or of the line's end behind a chunk."""
        self._left = 0
        """Bytes of the chunk that are still to come; -1: its line's end is."""
        self._trailers = -1
        """Bytes of trailers so far; -1 before the last chunk."""
        self._fields = 0
        self._extensions = 0

    def feed(self, data: bytes) -> bytes:
        """The body in `data`. Raises `Refused`."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        parts: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._left > 0:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left = self._left - len(part) or -1
            elif self._left < 0:
                if size - at < 2 and data[at:] == b"\r":
                    break
                if data[at : at + 2] != b"\r\n":
                    raise Refused(400, "a chunk is longer than it says")
                at += 2
                self._left = 0
            else:
                end = data.find(b"\n", at, at + MAX_LINE + 2)
                if end < 0:
                    if size - at > MAX_LINE:
                        raise Refused(400, "a line between chunks is too long")
                    break
                self._line(data[at : end + 1])
                at = end + 1
        if self.done:
            self.rest = data[at:]
        else:
            self._pending = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise Refused(400, "a line between chunks ends in a bare LF")
        if self._trailers >= 0:
            self._trailer(line)
            return
        found = _SIZE.fullmatch(line, 0, len(line) - 2)
        if found is None:
            raise Refused(400, "a chunk has no size")
        self._extensions += len(found[2])
        if self._extensions > MAX_EXTENSIONS:
            raise Refused(400, "the chunks have too many extensions")
        self._left = int(found[1], 16)
        if self._left == 0:
            self._trailers = 0

    def _trailer(self, line: bytes) -> None:
        """Checked and dropped: ASGI has no place for a request's."""
        if line == b"\r\n":
            self.done = True
            return
        self._trailers += len(line)
        self._fields += 1
        if self._trailers > MAX_TRAILERS or self._fields > MAX_HEADERS:
            raise Refused(431, "the trailers are too large")
        if not _TRAILER.fullmatch(line, 0, len(line) - 2):
            raise Refused(400, "a trailer is not a field")

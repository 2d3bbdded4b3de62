"""A request's whole head, as llhttp reads it, and stricter where llhttp forgives. Pure.

llhttp takes two spaces for one, HTTP/0.9, RTSP and ICE; so the first line is looked at here, with the same strictness
as h11. What llhttp refuses by itself: a length beside chunks, two lengths, a coding whose end is not chunked, spaces
before a colon, control characters. What is left is the guard's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from vidops.gateway import lines
from vidops.gateway.guard import Refused

INVALID = "this is not a valid HTTP/1.1 request"
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])\r\n")
_TOLD = frozenset((b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"))


@dataclass(slots=True)
class Head:
    """Names of fields in lower case. `length`: bytes of the body; None where it comes in chunks."""

    method: str
    target: bytes
    version: str
    fields: list[tuple[bytes, bytes]]
    length: int | None = 0
    keep_alive: bool = False
    websocket: bool = False
    expects: bool = False


class Heads:
    """One connection's."""

    def __init__(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp's call."""
        self._fields.append((name.lower(), value.rstrip(b" \t")))

    def parse(self, text: bytes) -> Head:
        """`text` ends with the empty line. Raises `Refused`."""
        line = _LINE.match(text)
        if line is None or lines.fault(text):
            raise Refused(400, INVALID)
        method, target, version = line.groups()
        if version not in (b"1.0", b"1.1") or method == b"PRI":
            raise Refused(505, INVALID)
        self._fields = []
        try:
            self._parser.feed_data(text)
        except httptools.HttpParserUpgrade:
            # Its parser waits for another protocol now; whether there is one is not its to say.
            self._parser = httptools.HttpRequestParser(self)
        except httptools.HttpParserInvalidMethodError:
            raise Refused(501, "this method is not known") from None
        except httptools.HttpParserError:
            raise Refused(lines.unfit(text) or 400, INVALID) from None
        head = Head(method.decode(), target, version.decode(), self._fields)
        self._tell(head)
        if head.length != 0:
            # The body is not shown to this parser.
            self._parser = httptools.HttpRequestParser(self)
        return head

    def _tell(self, head: Head) -> None:
        codings: list[bytes] = []
        tokens: set[bytes] = set()
        upgrade = False
        for name, value in head.fields:
            if name not in _TOLD:
                continue
            if name == b"content-length":
                head.length = int(value)  # llhttp lets nothing but one number pass, and of 64 bits
            elif name == b"transfer-encoding":
                codings.append(value.lower())
            elif name == b"connection":
                tokens.update(token.strip() for token in value.lower().split(b","))
            elif name == b"upgrade":
                upgrade = upgrade or value.lower() == b"websocket"
            else:
                head.expects = value.lower() == b"100-continue" and head.version == "1.1"
        if codings:
            if codings != [b"chunked"]:
                raise Refused(501, "no transfer coding but chunked is known")
            head.length = None
        head.keep_alive = head.version == "1.1" and b"close" not in tokens
        head.websocket = upgrade and b"upgrade" in tokens and head.method == "GET"

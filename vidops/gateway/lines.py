"""What no head may hold, for every parser: those that forgive it would read another request. Pure."""

from __future__ import annotations

import re

MAX_BLANK = 4
"""Empty lines before a request that are not looked at (RFC 9112, 2.2): clients of old send one behind a body."""

_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_FRAMING = re.compile(rb"^(content-length|transfer-encoding):[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE | re.MULTILINE)


def blank(data: bytes | bytearray, before: int) -> int:
    """How many empty lines stand before a request that are to be skipped, where so many have come already."""
    count = 0
    while before + count < MAX_BLANK and data.startswith(b"\r\n", 2 * count):
        count += 1
    return count


def fault(head: bytes | bytearray, start: int = 0) -> str:
    """What is wrong with the lines of a head, or of its beginning; empty where nothing is.

    `start`: what comes before was looked at. Lines end in CRLF and nothing else (RFC 9112, 2.2), and a value stands on
    one of them (5.2).
    """
    if head.count(b"\n", start) != head.count(b"\r\n", max(0, start - 1)):
        return "a line of the head ends in a bare LF"
    begin = max(0, start - 2)
    if head.find(b"\r\n ", begin) >= 0 or head.find(b"\r\n\t", begin) >= 0:
        return "a field of the head is folded"
    return ""


def unfit(head: bytes | bytearray) -> int:
    """The status that a whole head is refused with for what its fields hold; 0 where they are fit.

    Control characters (RFC 9110, 5.5), a length that is no number or not the only one (RFC 9112, 6.3; a list of the
    same one is none here), and codings whose end is not known (6.1).
    """
    if _CONTROLS.search(head):
        return 400
    found = [(bytes(name).lower(), bytes(value).lower()) for name, value in _FRAMING.findall(head)]
    lengths = [value for name, value in found if name == b"content-length"]
    codings = [value for name, value in found if name == b"transfer-encoding"]
    if len(lengths) > 1 or (lengths and codings) or not all(v.isdigit() and len(v) < 20 for v in lengths):
        return 400
    return 501 if codings and codings != [b"chunked"] else 0

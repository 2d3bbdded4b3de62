"""What no head may hold between its lines, for every parser: those that forgive it would read another request. Pure."""

from __future__ import annotations


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

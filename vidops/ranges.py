"""Byte ranges of a request (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE = re.compile(r"\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Range:
    """`start` to `end`, both included. `satisfiable` false: there is no such byte (416)."""

    start: int
    end: int
    satisfiable: bool = True

    @property
    def length(self) -> int:
        return self.end - self.start + 1


def parse_range(value: str, size: int) -> Range | None:
    """The one range that is asked for; None where the whole is to be sent: no range, several, or none we know."""
    found = _ONE.fullmatch(value)
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        count = min(_number(last), size)
        return Range(size - count, size - 1, count > 0)
    start = _number(first)
    end = min(_number(last), size - 1) if last else size - 1
    if last and _number(last) < start:
        return None  # not a range by its grammar, so it is ignored
    return Range(start, end, start < size)


def _number(digits: str) -> int:
    """As many digits as anybody likes: they are more than there is, and Python's own would refuse to read them."""
    return int(digits) if len(digits) <= 20 else int(digits.lstrip("0")[:21] or "0")

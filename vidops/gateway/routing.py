"""Which route answers a request: the first in file order whose pattern matches. Pure.

    /exact      this path and no other (`/exact/` is another one)
    /one/*      exactly one more segment, not empty; a `*` may stand for any whole segment
    /all/**     everything below, and `/all` itself; only at the end

Patterns and requests are compared segment by segment on the path that the guard decoded once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from vidops.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed path pattern. `match` gives what `**` matched (empty without one), or None."""

    text: str
    segments: tuple[str, ...]
    rest: bool

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises `PermanentError` with what would be right."""
        if not text.startswith("/"):
            raise PermanentError(f"path {text!r} does not start with /", reason="InvalidRoute")
        if re.search(r"[\x00-\x20\x7f?#\\]", text):
            raise PermanentError(
                f"path {text!r} holds a space, a control character or one of ?#\\", reason="InvalidRoute"
            )
        segments = text[1:].split("/")
        rest = segments[-1] == "**"
        if rest:
            segments.pop()
        for segment in segments:
            if "*" in segment and segment != "*":
                raise PermanentError(
                    f"path {text!r}: * stands for a whole segment, ** for everything at the end", reason="InvalidRoute"
                )
            if segment in (".", ".."):
                raise PermanentError(f"path {text!r}: no request has a segment {segment!r}", reason="InvalidRoute")
        if "" in segments[:-1] or (rest and "" in segments):
            raise PermanentError(f"path {text!r} has an empty segment", reason="InvalidRoute")
        return cls(text, tuple(segments), rest)

    def match(self, segments: Sequence[str]) -> str | None:
        count = len(self.segments)
        if len(segments) < count or (not self.rest and len(segments) > count):
            return None
        for mine, theirs in zip(self.segments, segments, strict=False):
            if mine != theirs and (mine != "*" or not theirs):
                return None
        return "/".join(segments[count:])


T = TypeVar("T")


class Match(NamedTuple, Generic[T]):
    """What was found: a target with the rest of the path, or the methods that the path allows (none: no such path)."""

    target: T | None
    rest: str = ""
    allowed: tuple[str, ...] = ()


class Table(Generic[T]):
    """Patterns with methods, in order. A route without methods answers all; one with GET answers HEAD, too."""

    def __init__(self, entries: Iterable[tuple[Pattern, Sequence[str], T]]) -> None:
        self._entries = [(pattern, with_head(methods), target) for pattern, methods, target in entries]

    def find(self, path: str, method: str) -> Match[T]:
        """`path` starts with a slash and is decoded; `method` is in upper case."""
        segments = path[1:].split("/")
        allowed: list[str] = []
        for pattern, methods, target in self._entries:
            rest = pattern.match(segments)
            if rest is None:
                continue
            if not methods or method in methods:
                return Match(target, rest)
            allowed.extend(m for m in methods if m not in allowed)
        return Match(None, "", tuple(allowed))


def with_head(methods: Sequence[str]) -> tuple[str, ...]:
    """Whoever answers GET answers HEAD."""
    if "GET" in methods and "HEAD" not in methods:
        return (*methods, "HEAD")
    return tuple(methods)

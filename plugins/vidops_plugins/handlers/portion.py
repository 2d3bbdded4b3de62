"""How much of a long body is taken on at a time."""

from __future__ import annotations

LEAST, MOST = 16 * 1024, 256 * 1024
PROMPT = 0.05
"""Seconds within which a reader takes what there is for it, or is slow."""


class Portion:
    """`size`: bytes to take on next. Much at a time is cheap, but it is what waits in memory for a reader that is slow:
    so it is little at first, and grows with what went through to a reader that has not been slow since."""

    __slots__ = ("_through", "size")

    def __init__(self, first: int = 2 * LEAST) -> None:
        self.size = first
        self._through = 0

    def passed(self, count: int, *, quickly: bool) -> None:
        """`count` bytes were handed on. `quickly`: whoever reads was ready for them."""
        self._through += count
        if not quickly:
            self.size, self._through = LEAST, 0
        elif self._through > 4 * self.size:
            self.size = min(2 * self.size, MOST)

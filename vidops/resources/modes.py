"""Whether a camera delivers what is asked of it, and what comes nearest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vidops.ports import VideoMode

NEAREST = 3
_SAME_RATE = 0.02
"""29.97 is 30 to whoever asks for it."""


def refusal(modes: Sequence[VideoMode], *, format: str | None, size: str | None, rate: float | None) -> str:
    """Why none of `modes` is what is asked for, with the nearest ones; empty where one is, or nothing is known.

    `size`: WIDTHxHEIGHT; None of the three: whatever the device likes.
    """
    if not modes or not (format or size or rate):
        return ""
    wanted = tuple(map(int, size.split("x"))) if size else None
    fitting = [m for m in modes if (format is None or m.format == format) and (wanted is None or _has(m, wanted))]
    if any(_fast(m, rate) for m in fitting):
        return ""
    asked = " ".join(filter(None, (size, format, f"at {rate:g}/s" if rate else "")))
    if format is not None and all(m.format != format for m in modes):
        return f"the device does not deliver {format}; it has {', '.join(dict.fromkeys(m.format for m in modes))}"
    if fitting:
        rates = sorted({r for m in fitting for r in m.rates}, key=lambda r: abs(r - (rate or r)))
        return f"the device does not deliver {asked}; at this size it has {_list(f'{r:g}/s' for r in rates[:NEAREST])}"
    near = sorted((m for m in modes if format is None or m.format == format), key=lambda m: _distance(m, wanted))
    return f"the device does not deliver {asked}; the nearest are {_list(_text(m, wanted) for m in near[:NEAREST])}"


def _has(mode: VideoMode, size: tuple[int, ...]) -> bool:
    return all(
        low <= n <= high and (n - low) % step == 0
        for n, (low, high, step) in zip(size, (mode.widths, mode.heights), strict=True)
    )


def _fast(mode: VideoMode, rate: float | None) -> bool:
    """Whether the rate is one of the mode's. Of a mode with ranges, rates are two ends."""
    if rate is None or not mode.rates:
        return True
    if mode.widths[0] != mode.widths[1]:
        return mode.rates[-1] * (1 - _SAME_RATE) <= rate <= mode.rates[0] * (1 + _SAME_RATE)
    return any(abs(r - rate) <= r * _SAME_RATE for r in mode.rates)


def _nearest_size(mode: VideoMode, size: tuple[int, ...] | None) -> tuple[int, int]:
    if size is None:
        return mode.widths[1], mode.heights[1]
    found = []
    for n, (low, high, step) in zip(size, (mode.widths, mode.heights), strict=True):
        inside = min(max(n, low), high)
        found.append(inside - (inside - low) % step)
    return found[0], found[1]


def _distance(mode: VideoMode, size: tuple[int, ...] | None) -> int:
    width, height = _nearest_size(mode, size)
    return abs(width * height - size[0] * size[1]) if size else 0


def _text(mode: VideoMode, size: tuple[int, ...] | None) -> str:
    width, height = _nearest_size(mode, size)
    fastest = f" at {mode.rates[0]:g}/s" if mode.rates else ""
    return f"{width}x{height} {mode.format}{fastest}"


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def sizes_of(modes: Sequence[VideoMode]) -> list[dict[str, Any]]:
    """Modes as the API tells them, by format: `format, description, sizes [{width, height, rates}]`."""
    formats: dict[str, dict[str, Any]] = {}
    for mode in modes:
        entry = formats.setdefault(mode.format, {"format": mode.format, "description": mode.description, "sizes": []})
        size: dict[str, Any] = {"width": mode.widths[1], "height": mode.heights[1], "rates": list(mode.rates)}
        if mode.widths[0] != mode.widths[1]:
            size |= {"widths": list(mode.widths), "heights": list(mode.heights)}
        entry["sizes"].append(size)
    return list(formats.values())

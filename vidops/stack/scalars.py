"""Scalars with units: written as a person writes them, parsed by one type each, kept in base units.

Duration  seconds    "250ms" "10s" "5m" "1h30m" "30d"     (a bare number is an error: which unit?)
Size      bytes      "64KiB" "50GiB" "10MB"
VideoSize            "1280x720"
Name                 what entries are called: it becomes part of paths, sockets and URLs
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+"
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = r"\d+(?:\.\d+)?\s?(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)"
_VIDEO_SIZE = r"[1-9]\d{0,4}x[1-9]\d{0,4}"
NAME_PATTERN = r"[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?"
MAX_DURATION = 100 * 366 * 86400.0


def parse_duration(value: Any) -> float:
    """Seconds of "1h30m"; raises ValueError with what would be right. Takes its own output (a float) back."""
    if isinstance(value, float):
        return value
    text = str(value).strip() if not isinstance(value, bool) else ""
    if not re.fullmatch(_DURATION, text, re.ASCII):
        hint = f", for example {value}s" if isinstance(value, int) and not isinstance(value, bool) else ""
        raise ValueError(f"not a duration: write a number with a unit (ms, s, m, h, d, w){hint}")
    seconds = sum(float(n) * _DURATION_UNITS[u] for n, u in re.findall(r"(\d+(?:\.\d+)?)([a-z]+)", text))
    if seconds > MAX_DURATION:
        raise ValueError("longer than a hundred years")
    return seconds


def positive_duration(value: Any) -> float:
    """As `parse_duration`, but zero is refused where it would mean a busy loop."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("must be longer than zero")
    return seconds


def parse_size(value: Any) -> int:
    """Bytes of "64MiB"."""
    text = str(value).strip()
    if not re.fullmatch(_SIZE, text, re.ASCII):
        raise ValueError("not a size: write a number with a unit (B, kB, MB, GB, KiB, MiB, GiB)")
    number, unit = re.findall(r"([\d.]+)\s?([A-Za-z]+)", text)[0]
    return int(float(number) * _SIZE_UNITS[unit])


def parse_video_size(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(_VIDEO_SIZE, value, re.ASCII):
        return value
    raise ValueError("not a video size: write WIDTHxHEIGHT, for example 1280x720")


def parse_name(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(NAME_PATTERN, value, re.ASCII):
        return value
    raise ValueError(
        "not a name: lower-case letters, digits, - and _, at most 48, starting and ending with a letter or digit"
    )


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["10s", "1h30m"]}),
]
PositiveDuration = Annotated[
    float,
    BeforeValidator(positive_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["10s", "1h30m"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIZE}$", "examples": ["64MiB", "50GiB"]}),
]
VideoSize = Annotated[
    str,
    BeforeValidator(parse_video_size),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": f"^{_VIDEO_SIZE}$", "examples": ["1280x720"]}),
]
Name = Annotated[str, BeforeValidator(parse_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})]

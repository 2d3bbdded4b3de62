"""Scalars with units: written as a person writes them, parsed by one type each, kept in base units.

Duration  seconds    "250ms" "10s" "5m" "1h30m" "30d"     (a bare number is an error: which unit?)
Size      bytes      "64KiB" "50GiB" "10MB"
VideoSize            "1280x720"
Name                 what entries are called: it becomes part of paths, sockets and URLs

In JSON they are written with their unit again, such that the text is read back as the very same value.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from vidops.resources.layout import SOCKET_PATH_LIMIT, split_mode

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+"
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
_SIZE = r"[0-9]+(?:\.[0-9]+)? ?(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)"
_VIDEO_SIZE = r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}"
_BIND = r"(?!unix:)(?:\[[0-9A-Fa-f:.]+(?:%[0-9A-Za-z_.-]+)?\]|[0-9A-Za-z_.-]+):[0-9]{1,5}|unix:/[^\x00-\x20]+|fd://[0-9A-Za-z_.-]+"
_ROUTE = r"(?!.*/\.{0,2}/)(?!.*/\.{1,2}$)(?:/(?:\*|[^*/?#%\\\x00-\x20\x7f]*))*(?:/\*\*|/)?"
NAME_PATTERN = r"[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?"
MAX_DURATION = 100 * 366 * 86400.0
MAX_SIZE = 2**63 - 1
_LONGEST_ROUTE = 2000
_LONGEST = 200
"""Characters; nobody writes a longer one on purpose."""
MAX_DRAIN = 300.0


def parse_duration(value: Any) -> float:
    """Seconds of "1h30m", to the nanosecond; raises ValueError with what would be right."""
    if not isinstance(value, str) or len(value) > _LONGEST or not re.fullmatch(_DURATION, value):
        number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        hint = f", for example {value}s" if number else ""
        raise ValueError(f"not a duration: write a number with a unit (ms, s, m, h, d, w){hint}")
    seconds = sum(float(n) * _DURATION_UNITS[u] for n, u in re.findall(r"([0-9.]+)([a-z]+)", value))
    if seconds > MAX_DURATION:
        raise ValueError("longer than a hundred years")
    return round(seconds, 9)


def positive_duration(value: Any) -> float:
    """As `parse_duration`, but zero is refused where it would mean a busy loop."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("must be longer than zero")
    return seconds


def parse_drain(value: Any) -> float:
    """As `parse_duration`, and no longer than a process's end may be held up."""
    seconds = parse_duration(value)
    if seconds > MAX_DRAIN:
        raise ValueError(f"at most {format_duration(MAX_DRAIN)}: for so long the end of a process may be held up")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest of "90m", "250ms" or "0.0001s" that `parse_duration` reads as exactly `seconds`."""
    for unit in ("d", "h", "m", "s", "ms"):
        count = round(seconds / _DURATION_UNITS[unit])
        if round(count * _DURATION_UNITS[unit], 9) == seconds and (count or unit == "s"):
            return f"{count}{unit}"
    return f"{Decimal(repr(seconds)):f}s"


def parse_size(value: Any) -> int:
    """Bytes of "64MiB"; raises ValueError with what would be right."""
    if not isinstance(value, str) or len(value) > _LONGEST or not re.fullmatch(_SIZE, value):
        raise ValueError("not a size: write a number with a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)")
    number, unit = re.findall(r"([0-9.]+) ?([A-Za-z]+)", value)[0]
    size = int(Decimal(number) * _SIZE_UNITS[unit])
    if size > MAX_SIZE:
        raise ValueError("larger than any disk: at most 8388607TiB")
    return size


def format_size(size: int) -> str:
    """ "64MiB", or bytes where no larger unit is exact."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def parse_video_size(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(_VIDEO_SIZE, value):
        return value
    raise ValueError("not a video size: write WIDTHxHEIGHT, for example 1280x720")


def parse_name(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(NAME_PATTERN, value):
        return value
    raise ValueError(
        "not a name: lower-case letters, digits, - and _, at most 48, starting and ending with a letter or digit"
    )


def parse_bind(value: Any) -> str:
    """An address to listen on, or a socket that listens already."""
    if isinstance(value, str) and len(value) <= _LONGEST and re.fullmatch(_BIND, value):
        port = value.rpartition(":")[2]
        if value.startswith("fd://"):
            return value
        if value.startswith("unix:"):
            path, _ = split_mode(value.removeprefix("unix:"))
            if len(path.encode()) <= SOCKET_PATH_LIMIT:
                return value
            raise ValueError(f"the socket's path is too long: at most {SOCKET_PATH_LIMIT} bytes")
        if int(port) <= 65535:
            return value
    raise ValueError("not an address: write HOST:PORT, [IPV6]:PORT, unix:/PATH or fd://NAME, for example 0.0.0.0:8080")


def parse_route(value: Any) -> str:
    """The pattern of a route's path: `*` stands for a segment, `**` at the end for everything below."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError("not a route: write a path that starts with /, for example /stream/**")
    *inner, last = value[1:].split("/")
    if any("*" in segment and segment != "*" for segment in (*inner, "*" if last == "**" else last)):
        raise ValueError("`*` stands for a whole segment, `**` for everything below and only at the end")
    if "" in inner or {".", ".."} & {*inner, last}:
        raise ValueError("no request has an empty segment, `.` or `..` in its path")
    if len(value) > _LONGEST_ROUTE or not re.fullmatch(_ROUTE, value):
        raise ValueError(r"a route is a decoded path without a query: no ? # % \ and no spaces")
    return value


def _text_of_duration(value: Any) -> str:
    # A default is what the author wrote ("10s") until it has been validated.
    return value if isinstance(value, str) else format_duration(value)


def _text_of_size(value: Any) -> str:
    return value if isinstance(value, str) else format_size(value)


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["10s", "1h30m"]})

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(_text_of_duration, return_type=str, when_used="json"),
    _DURATION_SCHEMA,
]
PositiveDuration = Annotated[
    float,
    BeforeValidator(positive_duration),
    PlainSerializer(_text_of_duration, return_type=str, when_used="json"),
    _DURATION_SCHEMA,
]
DrainDuration = Annotated[
    float,
    BeforeValidator(parse_drain),
    PlainSerializer(_text_of_duration, return_type=str, when_used="json"),
    _DURATION_SCHEMA,
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(_text_of_size, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIZE}$", "examples": ["64MiB", "50GiB"]}),
]
VideoSize = Annotated[
    str,
    BeforeValidator(parse_video_size),
    WithJsonSchema({"type": "string", "pattern": f"^{_VIDEO_SIZE}$", "examples": ["1280x720"]}),
]
Name = Annotated[str, BeforeValidator(parse_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})]
Bind = Annotated[
    str,
    BeforeValidator(parse_bind),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{_BIND})$", "examples": ["0.0.0.0:8080", "unix:/run/web.sock"]}),
]
RoutePath = Annotated[
    str,
    BeforeValidator(parse_route),
    WithJsonSchema({"type": "string", "pattern": f"^(?=/){_ROUTE}$", "examples": ["/stream/**", "/api/*", "/livez"]}),
]

"""What single header fields mean to a cache: directives, dates, ages, tags, and what Vary compares requests by."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

Fields = Sequence[tuple[bytes, bytes]]
LONGEST = 10 * 365 * 86400
"""Seconds; what a directive says beyond is that."""
UNORDERED_CASE = frozenset({"accept-encoding", "accept-language"})
"""Lists of words that mean the same in either case and with any white space around their commas."""
_DIRECTIVE = re.compile(r"""([!#$%&'*+.^_`|~\w-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]+)))?""")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~\w-]*", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH, _DAY, _CLOCK = (
    f"(?P<month>{'|'.join(_MONTHS)})",
    "(?:mon|tue|wed|thu|fri|sat|sun)",
    r"(?P<clock>\d\d:\d\d:\d\d)",
)
_DATES = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_DAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_CLOCK} gmt",
        rf"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_CLOCK} gmt",
        rf"{_DAY} {_MONTH} (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})",
    )
)


def first(fields: Fields, name: bytes) -> str:
    return next((value.decode("latin-1") for field_, value in fields if field_ == name), "")


def directives(fields: Fields) -> dict[str, str]:
    """The directives of all Cache-Control fields, in lower case; of two of a name the first (RFC 9111, 4.2.1)."""
    found: dict[str, str] = {}
    text = ",".join(value.decode("latin-1") for name, value in fields if name == b"cache-control")
    for match in _DIRECTIVE.finditer(text):
        found.setdefault(match[1].lower(), match[2] if match[2] is not None else match[3] or "")
    return found


def written(said: Mapping[str, str]) -> str:
    """Directives as a field's value, with quotes around what is no token."""
    return ", ".join(
        name if not value else f"{name}={value}" if _TOKEN.fullmatch(value) else f'{name}="{value}"'
        for name, value in said.items()
    )


def number(text: str) -> int | None:
    """Seconds, and no more than `LONGEST` of them; None for what is no number (RFC 9111, 1.2.2)."""
    return min(int(text), LONGEST) if text.isascii() and text.isdigit() and len(text) < 20 else None


def seconds(said: Mapping[str, str], name: str) -> int | None:
    """A directive's seconds; None where it is not there or no number."""
    return number(said.get(name, ""))


def age_said(response: Fields) -> int:
    """What `Age` says; of a list the first, and nothing where that is no number (RFC 9111, 5.1)."""
    return number(first(response, b"age").partition(",")[0].strip()) or 0


def when(text: str) -> float | None:
    """Unix time of a date in any of HTTP's three forms (RFC 9110, 5.6.7), in whatever case (RFC 9111, 4.2).

    None for everything else: what a general parser would make of it, in which zone, is not what an origin meant by it.
    """
    text = text.strip().lower()
    found = next((match for form in _DATES if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    year, now = int(found["year"]), time.gmtime(time.time()).tm_year
    if len(found["year"]) == 2:
        # Of two digits: no more than fifty years ahead.
        year += now // 100 * 100
        year -= 100 if year > now + 50 else 0
    hour, minute, second = (int(part) for part in found["clock"].split(":"))
    try:
        # There are seconds of the number 60, which Python has not.
        moment = datetime(year, _MONTHS.index(found["month"]) + 1, int(found["day"]), hour, minute, min(second, 59))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC).timestamp()


def varied(response: Fields, request: Fields) -> dict[str, str] | None:
    """The request's fields that a response's Vary names, normalised (RFC 9111, 4.1); None for `*`, which fits none."""
    names = ",".join(value.decode("latin-1") for name, value in response if name == b"vary")
    found = {}
    for name in filter(None, (part.strip().lower() for part in names.split(","))):
        if name == "*":
            return None
        text = ", ".join(" ".join(v.decode("latin-1").split()) for n, v in request if n == name.encode("latin-1"))
        if name in UNORDERED_CASE:
            text = re.sub(r" ?([,;]) ?", r"\1", text).lower()
        found[name] = text
    return found


def not_modified(request: Fields, stored: Fields) -> bool:
    """Whether the client has this already (RFC 9110, 13.1)."""
    tags = ",".join(value.decode("latin-1") for name, value in request if name == b"if-none-match")
    if tags:
        own = first(stored, b"etag").removeprefix("W/")
        return tags.strip() == "*" or (
            bool(own) and own in {tag.strip().removeprefix("W/") for tag in re.findall(r'(?:W/)?"[^"]*"', tags)}
        )
    since = when(first(request, b"if-modified-since"))
    if since is None:
        return False
    # Without a Last-Modified, it is the date that counts (RFC 9111, 4.3.2).
    modified = when(first(stored, b"last-modified") or first(stored, b"date"))
    return modified is not None and modified <= since

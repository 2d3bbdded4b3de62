"""Cache-Control that is meant for one kind of cache alone: RFC 9213, whose fields are dictionaries of RFC 9651."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vidops_plugins.middleware.cache.fields import Fields, written

_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE = (
    r"(?:-?\d{1,12}\.\d{1,3}|@?-?\d{1,15}"
    r'|%?"(?:[ !#-\[\]-~]|\\["\\])*"'
    r"|[A-Za-z*][!#$%&'*+.^_`|~\w:/-]*|:[A-Za-z0-9+/=]*:|\?[01])"
)
_PARAMETERS = rf"(?:; *{_KEY}(?:={_BARE})?)*"
_INNER = rf"\( *(?:{_BARE}{_PARAMETERS}(?: +{_BARE}{_PARAMETERS})*)? *\)"
_MEMBER = re.compile(rf"({_KEY})(?:=({_BARE}|{_INNER}))?{_PARAMETERS}", re.ASCII)
_BETWEEN = re.compile(r"[ \t]*,[ \t]*")
_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})


def governing(response: Fields, targeted: Sequence[bytes]) -> Fields:
    """A response's header with the rules that are meant for this cache: those of the first field of `targeted` that is
    there and well-formed, in the place of Cache-Control and Expires (RFC 9213, 2.2)."""
    for name in targeted:
        said = _directives(", ".join(value.decode("latin-1") for field, value in response if field == name))
        if said:
            left = [field for field in response if field[0] not in (b"cache-control", b"expires")]
            return [*left, (b"cache-control", written(said).encode("latin-1"))]
    return response


def _directives(text: str) -> dict[str, str] | None:
    """A dictionary's members as directives; None for what is no dictionary, or has seconds that are none."""
    said: dict[str, str] = {}
    place, text = 0, text.strip(" ")
    while True:
        member = _MEMBER.match(text, place)
        if member is None:
            return None
        name, value = member[1], member[2] or ""
        if name in _SECONDS and not re.fullmatch(r"-?\d+", value):
            return None
        # The last of a name counts, and what is said to be false is not said.
        said.pop(name, None)
        if value != "?0":
            said[name] = "" if value == "?1" else value[1:-1] if value.startswith('"') else value
        place = member.end()
        if place == len(text):
            return said
        between = _BETWEEN.match(text, place)
        if between is None:
            return None
        place = between.end()

"""One range of what is stored whole (RFC 9110, 14). What asks for several, or for none that there is, is the
upstream's to answer."""

from __future__ import annotations

from vidops.api import parse_range
from vidops_plugins.middleware.cache.fields import Fields, first, when


def whole(request: Fields, stored: Fields) -> bool:
    """Whether `If-Range` says that everything is wanted, since the client's part is of something else (13.1.5)."""
    condition = first(request, b"if-range").strip()
    if not condition:
        return False
    if condition.startswith(('"', "W/")):
        # The comparison is the strong one: a weak tag is never the same.
        return condition.startswith("W/") or condition != first(stored, b"etag")
    modified, date = when(condition), when(first(stored, b"date"))
    # What was changed in the second it was sent may have been changed again within it (8.8.2.2).
    strong = modified is not None and date is not None and date - modified >= 1
    return not strong or condition != first(stored, b"last-modified")


def part(request: Fields, size: int) -> tuple[int, int] | None:
    """The first and the last byte that a request asks for; None where it is not one range within `size` bytes."""
    asked = [value.decode("latin-1") for name, value in request if name == b"range"]
    found = parse_range(asked[0], size) if len(asked) == 1 else None
    return (found.start, found.end) if found is not None and found.satisfiable else None

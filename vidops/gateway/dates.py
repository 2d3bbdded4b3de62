"""The time, as every response says it (RFC 9110, 5.6.7)."""

from __future__ import annotations

import time
from email.utils import formatdate

_last: tuple[int, bytes] = (0, b"")


def http_date() -> bytes:
    """Made once a second, however many responses there are."""
    global _last  # noqa: PLW0603 - a cache of one
    now = int(time.time())
    if _last[0] != now:
        _last = (now, formatdate(now, usegmt=True).encode())
    return _last[1]

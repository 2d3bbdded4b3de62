"""What a source's log says of its end."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

LIMIT = 8192
"""Bytes at a log's end that are looked at."""
LONGEST = 500
_SAY_NOTHING = (
    "Conversion failed!",
    "Exiting normally",
    "deprecated pixel format used",
    "Error writing trailer",
    "Error closing file",
    "Broken pipe",
    "Impossible to open '",
    "not enough frames to estimate rate",
    "Error reinitializing filters",
    "Failed to inject frame into filter network",
    "Error while processing the decoded data",
    "Error while filtering",
    "Error sending frames to consumers",
    "Task finished with error code",
    "Terminating thread with return code",
)
"""Lines that FFmpeg writes after the one that matters, at any end, or when the hub goes away."""


def log_size(path: str) -> int:
    """Where a log ends now: what comes behind it is of the next run."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def last_words(path: str, since: int) -> str:
    """The last line that says something, of those written behind `since` bytes; empty where there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            # A rotated log begins anew.
            begin = since if size >= since else 0
            file.seek(max(begin, size - LIMIT))
            text = file.read(LIMIT).decode(errors="replace")
    except OSError:
        return ""
    return essence(text)


def essence(text: str) -> str:
    """The last line of a log that says why, without FFmpeg's addresses; empty where there is none."""
    for line in reversed(text.splitlines()):
        # What was opened by way of a descriptor has no name worth telling; without one, this error says nothing.
        said = re.sub(r"^/dev/fd/\d+: (?:Input/output error$)?", "", line.strip())
        if said and not any(nothing in said for nothing in _SAY_NOTHING):
            # "[video4linux2,v4l2 @ 0x55d0c0] Cannot open ..." differs with every run by its address.
            head, at, rest = said.partition(" @ 0x")
            if at and head.startswith("[") and "]" in rest:
                said = f"{head}]{rest.partition(']')[2]}"
            return said[:LONGEST]
    return ""


def reason_of(said: str, reasons: Sequence[tuple[str, str]]) -> str:
    """The first of `reasons` (a word, and a pattern of what FFmpeg says then) that is meant; empty where it is none."""
    return next((reason for reason, pattern in reasons if re.search(pattern, said)), "")

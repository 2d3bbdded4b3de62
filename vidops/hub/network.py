"""Why a source over the network ended, in one word, by what FFmpeg said. Pure."""

from __future__ import annotations

from vidops.hub.words import reason_of

_REASONS = (
    ("Unauthorized", r"\b401 Unauthorized|authorization failed"),
    ("Forbidden", r"\b403 Forbidden|access denied\)"),
    ("NotFound", r"\b404 Not Found"),
    ("ServerError", r"\b5[0-9X]{2} (?:Internal|Not Impl|Bad Gate|Service|Server|Gateway)|Server returned 5XX"),
    ("Unreachable", r"Connection refused|No route to host|(?:Network|Host) is unreachable|Connection reset by peer"),
    ("Timeout", r"Connection timed out|Operation timed out"),
    ("UnknownHost", r"Failed to resolve hostname|Name or service not known|name resolution"),
)


def network_reason(said: str) -> str:
    """Unauthorized, Forbidden, NotFound, ServerError, Unreachable, Timeout, UnknownHost; empty where it is none."""
    return reason_of(said, _REASONS)

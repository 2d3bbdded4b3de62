"""What somebody may have meant: the nearest of the names that would have been right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from vidops.stack.nodes import shown

MAX_COMPARED = 500
"""Names: comparing is slow, and thousands of errors may each want a suggestion."""
MAX_LISTED = 12
MAX_LISTED_TOO = 6
"""Beside a suggestion."""


def nearest(word: str, names: Iterable[str]) -> str:
    """The name most like `word`; empty where none is."""
    known = {name.lower().replace("-", "_"): name for name, _ in zip(names, range(MAX_COMPARED), strict=False)}
    found = difflib.get_close_matches(word[:64].lower().replace("-", "_"), known, n=1, cutoff=0.6)
    return known[found[0]] if found else ""


def suggestion(word: str, names: Iterable[str], *, known: str = "known") -> str:
    """ "did you mean `framerate`? known: framerate, video_size" as far as it is helpful."""
    names = list(names)
    near = nearest(word, names)
    parts = [f"did you mean `{shown(near)}`?"] if near else []
    if 0 < len(names) <= (MAX_LISTED_TOO if near else MAX_LISTED):
        parts.append(f"{known}: {', '.join(shown(name) for name in sorted(names))}")
    return " ".join(parts)

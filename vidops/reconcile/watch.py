"""Watching stack files: whatever way an editor, git, Ansible or Kubernetes changes them.

Directories are watched, not files: an atomic replace gives a file a new inode, and a symlink swap changes a link
beside or above it. A notice only means "look again"; what counts is whether the content differs, so any dance
ends in the last state. A slow look without a notice covers file systems that send none.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence

from watchfiles import awatch

LOOK_ANYWAY = 2.0
"""Seconds between looks where nothing was noticed."""
DEBOUNCE_MS = 30
STEP_MS = 10


async def changes(files: Callable[[], Sequence[str]], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields once after each change of the content of `files()` (whose answer may change in between)."""
    seen = digest(files())
    while not stop.is_set():
        directories = watched(files())
        async for _ in awatch(
            *directories,
            recursive=False,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            rust_timeout=int(LOOK_ANYWAY * 1000),
            yield_on_timeout=True,
            stop_event=stop,
        ):
            now = digest(files())
            if now != seen:
                seen = now
                yield
            if watched(files()) != directories:
                break


def watched(files: Sequence[str]) -> list[str]:
    """Directories whose change can change what these paths hold: along every link on the way, while they exist."""
    found: set[str] = set()
    for file in files:
        path = os.path.abspath(file)
        for _ in range(40):
            found.add(os.path.dirname(path))
            # The parent too: a directory may be replaced as a whole (git worktrees, Kubernetes' ..data).
            found.add(os.path.dirname(os.path.dirname(path)))
            link = _first_link(path)
            if link is None:
                break
            path = link
    return sorted(d for d in found if os.path.isdir(d))


def _first_link(path: str) -> str | None:
    """`path` with its first symlink resolved by one step; None where it has none."""
    parts = path.split("/")
    for i in range(2, len(parts) + 1):
        head = "/".join(parts[:i])
        if os.path.islink(head):
            target = os.path.join(os.path.dirname(head), os.readlink(head))
            return os.path.normpath(os.path.join(target, *parts[i:]))
    return None


def digest(files: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    """Each file's name and a hash of its content; an unreadable one has an empty hash."""
    found = []
    for file in files:
        try:
            with open(file, "rb") as stream:
                found.append((file, hashlib.file_digest(stream, "sha256").digest()))
        except OSError:
            found.append((file, b""))
    return tuple(found)

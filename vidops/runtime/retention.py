"""Removing what retention names: files first, then their rows, and never anything outside of the data directory.

A crash in between leaves rows without a file, which readers do not show and the next comparison drops. Paths are
walked from the data directory's descriptor without following links, so that what is swapped underneath cannot lead
anywhere else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vidops.planning.retention import Clip, Doomed, Shelf, doomed
from vidops.resources.specs import Retention
from vidops.runtime.index import RecordingsIndex

BATCH = 200
"""Clips of one capture that are looked at in one round."""
ROUNDS = 50
"""Rounds of one call: a lowered limit on a large archive is worked off over several calls."""


@dataclass
class Cleared:
    """What one call removed, and what it could not: path and the error's code (EROFS, EACCES ...). `bare`: captures
    with a rule that have nothing left which may go; `short`: those whose `min_free` is not there all the same."""

    removed: list[Doomed] = field(default_factory=list)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    bare: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)


def clear(
    index: RecordingsIndex,
    rules: Mapping[str, Retention],
    *,
    now: float,
    free: Callable[[], int],
    uploads: Mapping[str, Sequence[str]] | None = None,
    now_called: Callable[[float], float] = lambda moment: moment,
    rounds: int = ROUNDS,
) -> Cleared:
    """Remove what the rules say. `free()`: bytes that the disk has left; `uploads`: who has to confirm a capture's
    recordings first; `now_called`: times as the clock of today would have told them (`ClockSteps`). Raises
    `TemporaryError` for the index."""
    waits = uploads or {}
    rules = {name: rule for name, rule in rules.items() if rule != Retention()}
    report = Cleared()
    for _ in range(rounds):
        shelves = {name: _shelf(index, name, rule, waits.get(name, ())) for name, rule in rules.items()}
        found = doomed(shelves, now=now, free=free(), now_called=now_called)
        gone = [item for item in found if _remove(index.data_dir, item.clip, report)]
        index.forget([item.clip.path for item in gone])
        report.removed.extend(gone)
        if not gone:
            break
    report.bare = {name for name in rules if not index.oldest(name, 1)}
    left = free()
    report.short = {name for name, rule in rules.items() if rule.min_free is not None and left < rule.min_free}
    return report


def _shelf(index: RecordingsIndex, capture: str, rule: Retention, uploads: Sequence[str]) -> Shelf:
    clips = [Clip(r.path, r.capture, r.start, r.end, r.bytes) for r in index.oldest(capture, BATCH, uploads)]
    return Shelf(rule, index.bytes_of(capture), clips)


def _remove(data_dir: str, clip: Clip, report: Cleared) -> bool:
    try:
        remove_recording(data_dir, clip.path)
    except OSError as error:
        report.troubles.append((clip.path, errno.errorcode.get(error.errno or 0, "EIO")))
        return False
    return True


def delete(index: RecordingsIndex, path: str) -> bool:
    """Remove one recording, kept or not; whether there was such a one. Raises `OSError`, `TemporaryError`."""
    if index.find(path) is None:
        return False
    remove_recording(index.data_dir, path)
    index.forget([path])
    return True


def remove_recording(data_dir: str, path: str) -> None:
    """Remove a recording and the directories that are empty without it; that it is gone already is fine.

    Raises `OSError`: ELOOP or ENOTDIR where a part of the path is a link, EINVAL for a path that leads out or is no
    plain file.
    """
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") or part.startswith(".") for part in parts):
        raise OSError(errno.EINVAL, "not a path below the data directory", path)
    with contextlib.suppress(FileNotFoundError), _opened(data_dir, parts[:-1]) as folders:
        info = os.stat(parts[-1], dir_fd=folders[-1], follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        os.unlink(parts[-1], dir_fd=folders[-1])
        for folder, name in zip(reversed(folders[:-1]), reversed(parts[:-1]), strict=True):
            try:
                os.rmdir(name, dir_fd=folder)
            except OSError:
                # Something else is in it.
                break


@contextlib.contextmanager
def _opened(root: str, folders: list[str]) -> Iterator[list[int]]:
    """Descriptors of `root` and of each folder on the way down, none of them reached through a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    opened = [os.open(root, flags)]
    try:
        for name in folders:
            opened.append(os.open(name, flags | os.O_NOFOLLOW, dir_fd=opened[-1]))
        yield opened
    finally:
        for descriptor in opened:
            os.close(descriptor)

"""Which recordings are to go: by age, by a capture's size, by what is free on the disk. Pure.

Oldest first always; what is kept is never named. `doomed` looks at the oldest few of each capture only, and is asked
again once those are gone, so that its cost does not grow with the archive.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vidops.resources.specs import Retention


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished recording that may go. Times in Unix seconds."""

    path: str
    capture: str
    start: float
    end: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """One capture's recordings: its rule, the bytes of all that may go, and the oldest of them.

    What is kept does not count: it would push out new footage at once, and could itself not go to make room.
    """

    rule: Retention
    bytes: int
    oldest: Sequence[Clip]


@dataclass(frozen=True, slots=True)
class Doomed:
    """A clip that is to go. `why`: MaxAge, MaxSize or MinFree."""

    clip: Clip
    why: str


def doomed(
    shelves: Mapping[str, Shelf],
    *,
    now: float,
    free: int,
    now_called: Callable[[float], float] = lambda moment: moment,
) -> list[Doomed]:
    """What is to go now, in the order in which it is to go. `free`: bytes that the disk has left; `now_called`: a past
    time as the clock of today would have told it.

    An archive that grows beyond its own rule pays first; what the disk lacks after that is taken from the captures
    that ask for so much free room, whosever footage is the oldest.
    """
    found: list[Doomed] = []
    left: dict[str, Sequence[Clip]] = {}
    for name, shelf in shelves.items():
        own = list(_by_own_rule(shelf, now, now_called))
        found.extend(own)
        free += sum(item.clip.bytes for item in own)
        left[name] = shelf.oldest[len(own) :]
    found.extend(_by_free_room(shelves, left, free))
    return sorted(found, key=lambda item: item.clip.start)


def _by_own_rule(shelf: Shelf, now: float, now_called: Callable[[float], float]) -> Iterator[Doomed]:
    """A run of the oldest: where one stays, so do all younger ones."""
    rule, size = shelf.rule, shelf.bytes
    for clip in shelf.oldest:
        if rule.max_age is not None and now_called(clip.end) < now - rule.max_age:
            why = "MaxAge"
        elif rule.max_size is not None and size > rule.max_size:
            why = "MaxSize"
        else:
            return
        size -= clip.bytes
        yield Doomed(clip, why)


def _by_free_room(shelves: Mapping[str, Shelf], left: Mapping[str, Sequence[Clip]], free: int) -> Iterator[Doomed]:
    queues = [((clip.start, clip.path, clip) for clip in clips) for clips in left.values()]
    for _, _, clip in heapq.merge(*queues):
        wanted = shelves[clip.capture].rule.min_free
        if wanted is not None and free < wanted:
            free += clip.bytes
            yield Doomed(clip, "MinFree")

"""Order: a stable topological sort. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)


class CycleError(ValueError):
    """Things that depend on each other in a circle; `members` are all that could not be ordered."""

    def __init__(self, members: Iterable[Any]) -> None:
        self.members = tuple(members)
        super().__init__(f"circular dependency among {', '.join(map(str, self.members))}")


def topological(depends_on: Mapping[K, Iterable[K]], key: Callable[[K], Any]) -> list[K]:
    """All keys of `depends_on`, each after those it depends on; free choices go by `key`, smallest first.

    Dependencies that are not keys themselves are ignored (they exist already). O((n + e) log n).
    """
    waiting: dict[K, int] = {}
    followers: dict[K, list[K]] = {}
    for node, needs in depends_on.items():
        inside = {n for n in needs if n in depends_on}
        waiting[node] = len(inside)
        for need in inside:
            followers.setdefault(need, []).append(node)
    ready = [(key(node), i, node) for i, (node, count) in enumerate(waiting.items()) if count == 0]
    heapq.heapify(ready)
    order: list[K] = []
    tie = len(waiting)
    while ready:
        _, _, node = heapq.heappop(ready)
        order.append(node)
        for follower in followers.get(node, ()):
            waiting[follower] -= 1
            if waiting[follower] == 0:
                tie += 1
                heapq.heappush(ready, (key(follower), tie, follower))
    if len(order) < len(waiting):
        raise CycleError(node for node, count in waiting.items() if count)
    return order

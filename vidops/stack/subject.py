"""What the checks of a stack share: the stack, where it stands, and the problems found so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from vidops.errors import Problem
from vidops.resources.catalogue import Catalogue
from vidops.stack.nodes import DocPath, Node, mark_of, render_path, shown, walk, written_path
from vidops.stack.suggest import suggestion

MAX_WORDED = 1000
"""Problems that get a suggestion: nobody reads more, and looking for them takes time."""
MAX_STEPS = 12
"""Of a circle that is told in full."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass
class Subject:
    """`stack` is what `root` says: `document` without the parts at `absent`, which have mistakes of their own."""

    stack: Any
    catalogue: Catalogue
    root: Node
    document: Node
    absent: Sequence[DocPath] = ()
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: DocPath, message: str, hint: str = "", *, plugin: bool = False) -> None:
        where = render_path(written_path(self.root, path))
        self.problems.append(Problem(mark_of(self.root, path), where, message, hint, plugin))

    def unknown(self, path: DocPath, noun: str, name: str, known: Iterable[str], *also: str) -> None:
        """A name that does not exist, with the nearest of those that do. `also`: plugins that did not load."""
        known = list(known)
        nodes = list(walk(self.root, path))
        name = str(nodes[-1].told) if len(nodes) > len(path) else name
        hint = ""
        if len(self.problems) < MAX_WORDED:
            hint = suggestion(name, known) or ("" if known else f"there is no {noun}")
        self.problem(
            path, f"no {noun} is called `{shown(name)}`", "; ".join(filter(None, [hint, *also])), plugin=bool(also)
        )

    def names(self, *path: str) -> list[str]:
        """The keys of a mapping as the document has them, those of entries with mistakes included."""
        return list(self._mapping(path))

    def values(self, *path: str) -> list[Any]:
        """The scalars of a mapping as the document has them."""
        return [child.value for child in self._mapping(path).values()]

    def _mapping(self, path: DocPath) -> dict[str, Node]:
        nodes = list(walk(self.document, path))
        found = nodes[-1].value if len(nodes) == len(path) + 1 else None
        return found if isinstance(found, dict) else {}

    def whole(self, *path: str | int) -> bool:
        """Whether nothing is absent at, above or below `path`."""
        gone, above = self._absent
        return path not in above and not any(path[:i] in gone for i in range(1, len(path) + 1))

    def gone(self, path: DocPath) -> bool:
        """Whether exactly what is at `path` is absent."""
        return path in self._absent[0]

    @cached_property
    def _absent(self) -> tuple[set[DocPath], set[DocPath]]:
        """The absent paths, and all that lead to them."""
        gone = {path for path in self.absent if path}
        return gone, {path[:i] for path in gone for i in range(len(path) + 1)}

    def guarded(self, path: DocPath, call: Callable[[], T]) -> T | None:
        """What a plugin's function gives; what it raises is a problem at `path`."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - somebody else's code: named, and confined to its entry
            self.problem(path, f"its plugin failed: {shown(f'{type(error).__name__}: {error}', 200)}")
            return None

    def where(self, path: DocPath) -> str:
        return str(mark_of(self.root, path))


def around(circle: Sequence[str], arrow: str) -> str:
    """A circle in words, of which a long one has its beginning and its end."""
    steps = [shown(name) for name in (*circle, circle[0])]
    return f" {arrow} ".join([*steps[:5], "...", *steps[-4:]] if len(steps) > MAX_STEPS else steps)


def circles(nodes: Iterable[K], following: Callable[[K], Iterable[K]]) -> list[list[K]]:
    """Each circle that is met first when going along `following`; no two share a node. Does not recurse."""
    found: list[list[K]] = []
    taken: set[K] = set()
    done: set[K] = set()
    for start in nodes:
        if start in done:
            continue
        trail: list[K] = [start]
        place = {start: 0}
        ahead = [iter(following(start))]
        while trail:
            step = next(ahead[-1], None)
            if step is None:
                ahead.pop()
                node = trail.pop()
                del place[node]
                done.add(node)
            elif step in place:
                circle = trail[place[step] :]
                if taken.isdisjoint(circle):
                    found.append(circle)
                    taken.update(circle)
            elif step not in done:
                place[step] = len(trail)
                trail.append(step)
                ahead.append(iter(following(step)))
    return found

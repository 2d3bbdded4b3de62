"""A document as a tree of nodes that know where they stand, and paths into it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vidops.errors import Mark

Scalar = str | int | float | bool | None
DocPath = tuple[str | int, ...]


@dataclass(slots=True)
class Node:
    """A scalar, a mapping or a sequence. Aliases share nodes, so a node that is in a tree is never changed.

    `keys` holds where each key of a mapping stands; `text` is a scalar as written, `interpolated` says that
    variables went into it, `failed` that they could not be filled in. `numbers` are the positions that a sequence's
    items had before others were left out.
    """

    mark: Mark
    value: Scalar | dict[str, Node] | list[Node]
    keys: dict[str, Mark] = field(default_factory=dict)
    text: str = ""
    interpolated: bool = False
    numbers: list[int] | None = None
    failed: bool = False

    @property
    def told(self) -> Scalar:
        """A scalar as messages may show it: what variables put into it can be a secret."""
        return self.text if self.interpolated else None if isinstance(self.value, dict | list) else self.value

    def child(self, step: str | int) -> Node | None:
        """The node one step down; None where there is none."""
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and 0 <= step < len(self.value):
            return self.value[step]
        return None


def plain(node: Node) -> Any:
    """The tree as dicts, lists and scalars. Recursion is bounded by the reader's depth limit."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def failed_places(node: Node, path: DocPath = ()) -> Iterator[DocPath]:
    """Where variables could not be filled in, aliases included. Recursion is bounded as in `plain`."""
    if node.failed:
        yield path
    elif isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from failed_places(child, (*path, key))
    elif isinstance(node.value, list):
        for i, child in enumerate(node.value):
            yield from failed_places(child, (*path, i))


def walk(root: Node, path: Sequence[str | int]) -> Iterator[Node]:
    """The nodes along `path`, the root first, as far as the document goes."""
    node: Node | None = root
    for step in path:
        if node is None:
            return
        yield node
        node = node.child(step)
    if node is not None:
        yield node


def mark_of(root: Node, path: Sequence[str | int]) -> Mark:
    """Where the part of the document at `path` stands, or the nearest part above that exists.

    A scalar stands where its value starts; a collection where its key does, since that is what names it.
    """
    nodes = list(walk(root, path))
    node = nodes[-1]
    if len(nodes) > 1 and isinstance(node.value, dict | list):
        step = path[len(nodes) - 2]
        return nodes[-2].keys.get(str(step), node.mark)
    return node.mark


def key_mark(root: Node, path: Sequence[str | int]) -> Mark:
    """Where the last key of `path` stands; for what has no key, as `mark_of`."""
    parent = list(walk(root, path[:-1]))[-1]
    return parent.keys.get(str(path[-1])) or mark_of(root, path)


def without(node: Node, paths: Iterable[DocPath]) -> Node:
    """A tree that lacks what is at `paths`; what is not on the way to them is shared."""
    below: dict[str | int, list[DocPath]] = {}
    for path in paths:
        if path:
            below.setdefault(path[0], []).append(path[1:])
    if not below:
        return node
    rest = {
        step: without(child, below[step]) for step in below if (child := node.child(step)) and () not in below[step]
    }
    if isinstance(node.value, dict):
        pairs = {key: rest.get(key, child) for key, child in node.value.items() if key in rest or key not in below}
        return replace(node, value=pairs)
    if isinstance(node.value, list):
        kept = [i for i in range(len(node.value)) if i in rest or i not in below]
        numbers = [node.numbers[i] for i in kept] if node.numbers else kept
        return replace(node, value=[rest.get(i, node.value[i]) for i in kept], numbers=numbers)
    return node


def written_path(root: Node, path: DocPath) -> DocPath:
    """`path` with the positions that items of sequences have in the file."""
    nodes = list(walk(root, path))
    steps = [
        node.numbers[step] if isinstance(step, int) and node.numbers and step < len(node.numbers) else step
        for node, step in zip(nodes, path, strict=False)
    ]
    return (*steps, *path[len(steps) :])


def render_path(path: Sequence[str | int]) -> str:
    """`gateways.public.routes[2].path`; keys that would be mistaken for something else are in quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if re.fullmatch(r"[\w-]{1,60}", step) else f'"{shown(step)}"'
            text += f".{key}" if text else key
    return text


def shown(text: str, limit: int = 60) -> str:
    """`text` fit for one line of a message: printable and not long."""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= limit else f"{text[: limit - 3]}..."

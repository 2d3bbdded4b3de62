"""A stack file, read, typed and checked: `load`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from vidops.errors import Mark, Problem, StackError
from vidops.resources.catalogue import Catalogue
from vidops.stack.check import check
from vidops.stack.explain import Explainer, Finding, findings
from vidops.stack.include import Document, Read, read_all
from vidops.stack.model import StackBase
from vidops.stack.nodes import DocPath, Node, failed_places, mark_of, plain, without, written_path
from vidops.stack.reader import MAX_BYTES, resolve
from vidops.stack.schema import stack_model
from vidops.stack.subject import Subject

MAX_SHOWN = 200
"""Problems in one error; what is beyond is counted."""


@dataclass(frozen=True)
class Loaded:
    """`stack` is of the model that `stack_model(catalogue)` gives. `files`: all that were read, the first first."""

    stack: Any
    files: tuple[str, ...]
    mark: Callable[[DocPath], Mark]


def read_file(path: str) -> bytes:
    """A regular file's content, one byte more than a stack file may have at most. Raises `OSError`."""
    # Not blocking: the open of a pipe that nobody writes would hang for ever.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(None, "not a regular file")
        return file.read(MAX_BYTES + 1)


def load(
    path: str,
    *,
    catalogue: Catalogue,
    env: Mapping[str, str],
    read: Read = read_file,
    leave_out: Sequence[DocPath] = (),
) -> Loaded:
    """The stack at `path`. Raises `StackError` with every problem, in file order, and with the files looked at.

    `leave_out`: parts of the document that are passed over as if they were not there.
    """
    document = read_all(path, env, read)
    if leave_out:
        document.root = without(document.root, leave_out)
    if not document.begun:
        raise _error(document, document.problems)
    model = stack_model(catalogue)
    data = plain(document.root)
    stack, found = _typed(model, document.root, data)
    explainer = Explainer(model, catalogue, document.root, data)
    failed = list(failed_places(document.root)) if document.failed else []
    problems = [*document.problems]
    problems.extend(explainer.first(_other_than(found, failed), MAX_SHOWN))
    if len(found) < MAX_SHOWN and document.complete:
        problems.extend(_checked(model, catalogue, document.root, stack, [*failed, *(f.path for f in found)]))
    if problems or stack is None:
        raise _error(document, problems, len(found) - MAX_SHOWN)
    root = document.root
    return Loaded(stack, tuple(document.files), lambda at: mark_of(root, at))


def _checked(
    model: type[StackBase],
    catalogue: Catalogue,
    document: Node,
    stack: StackBase | None,
    mistaken: Sequence[DocPath],
) -> list[Problem]:
    """What the checks find; where there are other mistakes, without the parts that have them.

    Taking a part away can make the part around it wrong (a key that must be there), which goes then, too; after a few
    rounds a larger part at once, since each round types the whole document.
    """
    root = document
    left_out = wrong = mistaken
    for steps in (None, None, None, 4, 2, 1):
        if not wrong:
            break
        root = _with_version(without(root, wrong))
        stack, found = _typed(model, root, plain(root))
        wrong = list(dict.fromkeys(f.path[:steps] for f in found))
        left_out = [*left_out, *(written_path(root, path) for path in wrong)]
    return check(Subject(stack, catalogue, root, document, left_out)) if stack is not None else []


def _with_version(root: Node) -> Node:
    assert isinstance(root.value, dict)
    return replace(root, value={"apiVersion": Node(root.mark, "vidops/v1"), **root.value})


def _typed(model: type[StackBase], root: Node, data: Any) -> tuple[StackBase | None, list[Finding]]:
    """The stack, or what is wrong with it. `data` is changed where a variable's value has to be a number."""
    try:
        return model.model_validate(data, strict=True), []
    except ValidationError as error:
        found = findings(error, root)
    if not _retype(root, data, found):
        return None, found
    try:
        return model.model_validate(data, strict=True), []
    except ValidationError as error:
        return None, findings(error, root)


def _retype(root: Node, data: Any, found: Iterable[Finding]) -> bool:
    """Give interpolated texts that were refused as text the number or boolean that they look like.

    So a variable's value takes the type that its place needs: a serial 0815 stays text, a frame rate 30 is a number.
    """
    changed = False
    for path in {f.path for f in found if f.path and not f.missing}:
        node: Node | None = root
        parent = data
        for step in path[:-1]:
            node = node.child(step) if node else None
            parent = parent[step]
        node = node.child(path[-1]) if node else None
        if node is not None and node.interpolated and isinstance(node.value, str):
            value = resolve(node.value)
            if value is not None and not isinstance(value, str):
                parent[path[-1]] = value
                changed = True
    return changed


def _other_than(found: Iterable[Finding], failed: Iterable[DocPath]) -> Iterator[Finding]:
    """Findings that do not come from a variable without a value, which has been told."""
    places = set(failed)
    for finding in found:
        path = (*finding.path, finding.context["key"]) if finding.kind == "tag_unknown" else finding.path
        if not any(path[:i] in places for i in range(1, len(path) + 1)):
            yield finding


def _error(document: Document, problems: Iterable[Problem], beyond: int = 0) -> StackError:
    """All problems in file order, or the first of them; `beyond` more are known of, but were not worded."""
    order = {file: i for i, file in enumerate(document.files)}
    found = sorted(dict.fromkeys(problems), key=lambda p: (order.get(p.mark.file, 0), p.mark.line, p.mark.column))
    more = max(beyond, 0) + max(len(found) - MAX_SHOWN, 0)
    if more:
        found = found[:MAX_SHOWN]
        found.append(Problem(found[-1].mark, "", f"{more} more problems from here on"))
    return StackError(found, document.files)

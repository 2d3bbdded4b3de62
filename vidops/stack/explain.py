"""What a validation found, in the words of somebody who writes stack files, each at its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from vidops.errors import Problem
from vidops.resources.catalogue import Catalogue
from vidops.stack.nodes import DocPath, Node, key_mark, mark_of, render_path, shown
from vidops.stack.shapes import fields_of, models_at
from vidops.stack.suggest import nearest, suggestion
from vidops.stack.wording import expected, worded

MAX_ABOUT = 80
"""Characters of a description that fit behind a message."""
MAX_KEYS = 6
"""Of a mapping, when they are told to somebody who wrote something else."""
_NO_MODEL = ("model_type", "model_attributes_type")
_AT_KEY = "[key]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One error of pydantic, placed in the document.

    `path` leads to the value, or to the mapping where a key is missing; `branches` are the arms of unions that it
    came through, as (length of the path there, arm).
    """

    path: DocPath
    kind: str
    context: dict[str, Any]
    message: str
    missing: str = ""
    at_key: bool = False
    branches: tuple[tuple[int, str], ...] = ()


def findings(error: ValidationError, root: Node) -> list[Finding]:
    """The errors of a validation, placed, with those of a union's arms brought down to one."""
    placed = [
        _place(root, e["loc"], e["type"], e.get("ctx", {}), e["msg"])
        for e in error.errors(include_url=False, include_input=False)
    ]
    settled = list(_settle_unions(placed))
    above = {f.path[:i] for f in settled for i in range(len(f.path))}
    # A list whose only member is wrong counts as empty for pydantic: the member is what matters.
    return [f for f in settled if f.kind != "too_short" or f.path not in above]


def _place(root: Node, loc: Sequence[str | int], kind: str, context: dict[str, Any], message: str) -> Finding:
    node = root
    path: list[str | int] = []
    branches: list[tuple[int, str]] = []
    missing = ""
    at_key = False
    for i, step in enumerate(loc):
        child = node.child(step)
        if child is not None:
            path.append(step)
            node = child
        elif kind == "missing" and i == len(loc) - 1:
            missing = str(step)
        elif step == _AT_KEY:
            at_key = True
        else:
            branches.append((len(path), str(step)))
    return Finding(tuple(path), kind, context, message, missing, at_key, tuple(branches))


def _settle_unions(placed: Sequence[Finding]) -> Iterator[Finding]:
    """Errors outside of unions as they are; of each union, those of the arm that came nearest."""
    unions: dict[DocPath, dict[str, list[Finding]]] = {}
    for found in placed:
        if not found.branches:
            yield found
            continue
        length, arm = found.branches[0]
        unions.setdefault(found.path[:length], {}).setdefault(arm, []).append(found)
    for path, arms in unions.items():
        fitting = [errors for errors in arms.values() if not any(_wrong_shape(e, path) for e in errors)]
        if fitting:
            yield from min(fitting, key=lambda errors: (len(errors), errors[0].kind == "value_error"))
            continue
        options = [word for errors in arms.values() if (word := expected(errors[0].kind, errors[0].context))]
        first = next(iter(arms.values()))[0]
        if not options:
            yield first
            continue
        words = " or ".join(dict.fromkeys(options))
        yield Finding(path, "one_of", {"words": words, "kinds": [errors[0].kind for errors in arms.values()]}, "")


def _wrong_shape(found: Finding, path: DocPath) -> bool:
    return found.path == path and not found.missing and bool(expected(found.kind, found.context))


class Explainer:
    """Turns findings into problems, with what the models and the catalogue know of the right answer."""

    def __init__(self, model: type[BaseModel], catalogue: Catalogue, root: Node, data: Any) -> None:
        self._model = model
        self._catalogue = catalogue
        self._root = root
        self._data = data

    def first(self, found: Iterable[Finding], most: int) -> list[Problem]:
        """The problems of the first findings in the document: wording thousands takes time, and nobody reads them."""
        placed = sorted(found, key=self._place)
        return [self.problem(f) for f in placed[:most]]

    def _place(self, found: Finding) -> tuple[str, int, int]:
        mark = mark_of(self._root, found.path)
        return mark.file, mark.line, mark.column

    def problem(self, found: Finding) -> Problem:
        path = found.path
        match found.kind:
            case "missing":
                return self._at(path, f"`{shown(found.missing)}` is missing", self._about(path, found.missing))
            case "extra_forbidden":
                names = [name for model in models_at(self._model, self._data, path[:-1]) for name in fields_of(model)]
                mark = key_mark(self._root, path)
                return Problem(mark, render_path(path), "unknown key", suggestion(str(path[-1]), names))
            case "tag_missing":
                key = found.context["key"]
                if meant := nearest(key, self._node(path).keys):
                    at = (*path, meant)
                    return Problem(key_mark(self._root, at), render_path(at), "unknown key", f"did you mean `{key}`?")
                hint = f"one of {', '.join(found.context['choices'])}" if found.context["choices"] else ""
                return self._at(path, f"`{found.context['key']}` is missing", hint)
            case "tag_unknown":
                return self._unknown_tag(found)
        node = self._node(path)
        if found.at_key:
            message, _ = worded(found.kind, found.context, found.message, path[-1])
            return Problem(key_mark(self._root, path), render_path(path), message)
        value = node.told if not isinstance(node.value, dict | list) else type(node.value)()
        message, hint = worded(found.kind, found.context, found.message, value)
        return self._at(path, message, hint or (self._keys(path) if found.kind in _NO_MODEL else ""))

    def _at(self, path: DocPath, message: str, hint: str) -> Problem:
        return Problem(mark_of(self._root, path), render_path(path), message, hint)

    def _keys(self, path: DocPath) -> str:
        """What the mapping that should be at `path` consists of, where that is short."""
        names = [name for model in models_at(self._model, self._data, path) for name in fields_of(model)]
        return f"with {', '.join(names)}" if 0 < len(names) <= MAX_KEYS else ""

    def _node(self, path: DocPath) -> Node:
        node: Node | None = self._root
        for step in path:
            node = node.child(step) if node else None
        return node or self._root

    def _unknown_tag(self, found: Finding) -> Problem:
        key, noun = found.context["key"], found.context["noun"]
        path = (*found.path, key)
        node = self._node(path)
        if not isinstance(node.value, str):
            return self._at(path, "should be text", f"the name of a {noun}")
        name = str(node.told)
        hint = suggestion(name, found.context["choices"])
        broken = self._broken()
        problem = self._at(path, f"unknown {noun} `{shown(name)}`", "; ".join(filter(None, [hint, *broken])))
        return replace(problem, plugin=bool(broken))

    def _broken(self) -> list[str]:
        return [f"plugin {p.name} did not load: {shown(p.error, 200)}" for p in self._catalogue.broken]

    def _about(self, path: DocPath, missing: str) -> str:
        """What a missing field is for: its only value, or its description as far as it is short."""
        for model in models_at(self._model, self._data, path):
            info = fields_of(model).get(missing)
            if info is None:
                continue
            if get_origin(info.annotation) is Literal and len(only := get_args(info.annotation)) == 1:
                return f"write `{missing}: {only[0]}`"
            if info.description and len(info.description) <= MAX_ABOUT:
                return info.description.rstrip(".")
            if info.description:
                return re.split(r"(?<=[.;:])\s", info.description, maxsplit=1)[0].rstrip(".;:")
        return ""

"""A stack file with its includes, as one document. A name declared twice, a circle, a missing file are problems."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from vidops.errors import Mark, Problem, StackError
from vidops.stack.interpolate import InterpolationError, interpolate
from vidops.stack.nodes import DocPath, Node, render_path, shown
from vidops.stack.reader import MAX_PROBLEMS, Budget, read

MAX_FILES = 100
NAMED = ("devices", "captures", "loopbacks", "middleware", "gateways", "hooks", "uploads", "metadata", "settings")
"""Sections that may be spread over files, each name in one of them."""

MAX_FILLED = 4 * 1024 * 1024
"""Characters that variables may put into all files together."""

Read = Callable[[str], bytes]


@dataclass
class Document:
    """Everything that was read."""

    root: Node
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    failed: int = 0
    """Values whose variables could not be filled in."""
    begun: bool = False
    """Whether the first file could be read."""
    complete: bool = True
    """Whether every file could be read: without one of them, which names the rest lacks is not known."""


def read_all(path: str, env: Mapping[str, str], read_file: Read) -> Document:
    """The file at `path` with all that it includes, depth first. Problems are collected, none is raised."""
    document = Document(Node(Mark(path), {}))
    _Reading(env, read_file, document).file(path, Mark(path), ())
    return document


class _Reading:
    def __init__(self, env: Mapping[str, str], read_file: Read, document: Document) -> None:
        self._env = env
        self._read_file = read_file
        self._document = document
        self._budget = Budget()
        self._seen: set[str] = set()
        self._filled = 0

    def file(self, path: str, wanted_at: Mark, parents: tuple[str, ...]) -> None:
        """Read `path`, which stands at `wanted_at` in the last of `parents`, and merge it in."""
        document = self._document
        if os.path.normpath(path) in map(os.path.normpath, parents):
            circle = shown(" -> ".join((*parents, path)), 200)
            self._problem(wanted_at, f"the file includes itself: {circle}", "", ("include",))
            return
        if os.path.normpath(path) in self._seen:
            return
        self._seen.add(os.path.normpath(path))
        if len(document.files) >= MAX_FILES:
            if self._document.complete:
                self._problem(wanted_at, f"more than {MAX_FILES} files", "", ("include",))
            self._document.complete = False
            return
        document.files.append(path)
        root = self._read(path, wanted_at, top=not parents)
        if root is None:
            return
        if not isinstance(root.value, dict):
            self._problem(root.mark, "a stack file is a mapping", "begin it with `apiVersion: vidops/v1`")
            document.complete = False
            return
        included = root.value.pop("include", None)
        if parents:
            self._check_version(root.value.pop("apiVersion", None))
        else:
            document.root = Node(root.mark, {}, keys={})
            document.begun = True
        self._merge(root)
        if included is not None:
            self._includes(included, path, parents)

    def _read(self, path: str, wanted_at: Mark, *, top: bool) -> Node | None:
        try:
            data = self._read_file(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such file"
            what = "the file" if top else shown(path, 200)
            self._document.complete = False
            self._problem(wanted_at, f"{what} cannot be read: {reason}", "", () if top else ("include",))
            return None
        try:
            root, problems = read(data, path, self._fill_in, self._budget)
        except StackError as error:
            self._document.complete = False
            self._document.problems.extend(error.problems)
            return None
        self._document.problems.extend(problems)
        return root

    def _fill_in(self, text: str, mark: Mark, path: DocPath) -> str | None:
        try:
            filled = interpolate(text, self._env)
            self._filled += len(filled)
            if self._filled > MAX_FILLED:
                raise InterpolationError(f"more than {MAX_FILLED} characters from variables in all")
            return filled
        except InterpolationError as error:
            self._document.failed += 1
            if self._document.failed <= MAX_PROBLEMS:
                self._problem(mark, str(error), error.hint, path)
            return None

    def _check_version(self, node: Node | None) -> None:
        if node is not None and node.value != "vidops/v1":
            self._problem(
                node.mark, "not a version that is known", "write `vidops/v1`, or leave it out", ("apiVersion",)
            )

    def _includes(self, node: Node, path: str, parents: tuple[str, ...]) -> None:
        entries = node.value if isinstance(node.value, list) else []
        if not isinstance(node.value, list) and node.value is not None:
            self._document.complete = False
            if node.failed:
                return
            self._problem(node.mark, "should be a list of files", "as in `include: [cameras.yaml]`", ("include",))
        for i, entry in enumerate(entries):
            if entry.failed:
                self._document.complete = False
            elif not isinstance(entry.value, str) or not entry.value:
                self._document.complete = False
                self._problem(entry.mark, "should be the path of a file", "", ("include", i))
            else:
                target = os.path.normpath(os.path.join(os.path.dirname(path), entry.value))
                self.file(target, entry.mark, (*parents, path))

    def _merge(self, root: Node) -> None:
        into = self._document.root
        assert isinstance(root.value, dict)
        assert isinstance(into.value, dict)
        for key, node in root.value.items():
            if key not in into.value:
                # A node of our own: one file's mapping grows, and an alias of it must not.
                copy = dict(node.value) if isinstance(node.value, dict) else node.value
                into.value[key] = replace(node, value=copy, keys=dict(node.keys))
                into.keys[key] = root.keys[key]
                continue
            known = into.value[key]
            if key in NAMED and isinstance(node.value, dict) and (isinstance(known.value, dict) or known.value is None):
                self._merge_section(key, known, node)
            elif key in NAMED and node.value is None:
                continue
            elif key in NAMED and not isinstance(node.value, dict):
                self._problem(root.keys[key], "should be a mapping", "", (key,))
            else:
                self._problem(root.keys[key], "declared twice", f"first at {into.keys[key]}", (key,))

    def _merge_section(self, section: str, known: Node, node: Node) -> None:
        assert isinstance(node.value, dict)
        if known.value is None:
            known.value = {}
        assert isinstance(known.value, dict)
        for name, entry in node.value.items():
            if name in known.value:
                self._problem(node.keys[name], "declared twice", f"first at {known.keys[name]}", (section, name))
            else:
                known.value[name] = entry
                known.keys[name] = node.keys[name]

    def _problem(self, mark: Mark, message: str, hint: str, path: DocPath = ()) -> None:
        self._document.problems.append(Problem(mark, render_path(path), message, hint))

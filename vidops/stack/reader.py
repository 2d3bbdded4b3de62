"""YAML text to a tree of nodes that know where they stand. Nothing but `StackError` comes out, whatever goes in.

The parser's events are walked with limits and without recursion; PyYAML's composer and constructors, which recurse
and expand aliases without bound, are not used. Scalars follow YAML 1.2's core schema, with less to stumble over:
only true and false are booleans, there is no base 60 and no date; 0o17 and 0x1f are numbers, 017 stays text, and so
does what JSON has no number for (.inf, .nan). Keys are text.

Source: YAML 1.2.2, section 10.3; merge keys: yaml.org/type/merge.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from vidops.errors import Mark, Problem, StackError
from vidops.stack.nodes import DocPath, Node, Scalar, render_path, shown

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000
"""Of a document once its aliases are expanded."""
MAX_PROBLEMS = 100

_TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")
_COLLECTION_TAGS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+)"
)
_WORDS: dict[str, Scalar] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip

MAX_DIRECTIVES = 50
"""Lines that start with `%`: the parser compares each with all before it."""

Interpolate = Callable[[str, Mark, DocPath], str | None]
"""Gives a scalar's text with its variables in it; None where that failed, which has been told then."""


def resolve(text: str) -> Scalar:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if len(text) <= 64 and _FLOAT.fullmatch(text):
        number = float(text)
        return number if abs(number) != float("inf") else text
    return text


@dataclass(slots=True)
class Budget:
    """What may still be read, in values; shared by the files of a stack."""

    nodes: int = MAX_NODES


def read(
    data: bytes, file: str, interpolate: Interpolate | None = None, budget: Budget | None = None
) -> tuple[Node, list[Problem]]:
    """The document's root, and what is wrong but leaves it readable; an empty document is an empty mapping.

    Raises `StackError` for what cannot be read on from.
    """
    builder = _Builder(file, interpolate, budget or Budget())
    _check_text(data, builder)
    for event in _events(data, builder):
        builder.take(event)
    if builder.root is None:
        builder.root = Node(Mark(file), {})
    return builder.root, builder.problems


def _check_text(data: bytes, builder: _Builder) -> None:
    """What YAML's parser would refuse without saying where, or would accept though no editor shows it."""
    if len(data) > MAX_BYTES:
        raise builder.fatal(Mark(builder.file), f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        mark = _mark_at(data[: error.start].decode("utf-8"), builder.file)
        raise builder.fatal(
            mark, f"the byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8"
        ) from None
    if bad := _UNPRINTABLE.search(text, 1 if text.startswith("\ufeff") else 0):
        raise builder.fatal(
            _mark_at(text[: bad.start()], builder.file), f"the character U+{ord(bad[0]):04X} cannot be used"
        )
    if data.count(b"\n%") > MAX_DIRECTIVES:
        raise builder.fatal(Mark(builder.file), f"more than {MAX_DIRECTIVES} lines start with %", "indent them")


def _mark_at(before: str, file: str) -> Mark:
    """Where the text that follows `before` stands."""
    before = before.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return Mark(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _events(data: bytes, builder: _Builder) -> Iterator[Any]:
    parser: Any = (yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)(data)
    try:
        while (event := parser.get_event()) is not None:
            yield event
    except yaml.MarkedYAMLError as error:
        raise builder.syntax(error, data) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise builder.fatal(Mark(builder.file), f"not valid YAML: {shown(str(error))}") from None


@dataclass(slots=True)
class _Frame:
    """A collection that is not closed yet."""

    node: Node
    anchor: str | None
    path: DocPath
    key: str | None = None
    key_mark: Mark | None = None
    merging: bool = False
    merges: list[Node] = field(default_factory=list)
    first: int = 0
    height: int = 1


@dataclass(slots=True)
class _Anchored:
    node: Node
    size: int
    height: int


class _Builder:
    """Takes events one by one. `problems` are those that leave the rest readable."""

    def __init__(self, file: str, interpolate: Interpolate | None, budget: Budget) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._interpolate = interpolate
        self._budget = budget
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._nodes = 0
        self._documents = 0

    # -- events ------------------------------------------------------------------------------------------------

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self.fatal(self._mark(event), "a second document starts here", "a stack file is one document")

    def _open(self, event: Any) -> None:
        mark = self._mark(event)
        self._count(1, mark)
        if len(self._frames) >= MAX_DEPTH:
            raise self.fatal(mark, f"nested more than {MAX_DEPTH} deep")
        if event.tag not in _COLLECTION_TAGS:
            self.problem(mark, f"the tag {_tag(event.tag)} has no meaning here", "remove it")
        mapping = isinstance(event, yaml.MappingStartEvent)
        if self._wants_key():
            raise self.fatal(mark, "a key must be text, not a mapping or a list")
        node = Node(mark, {} if mapping else [])
        if event.anchor:
            self._anchors[event.anchor] = None
        self._frames.append(_Frame(node, event.anchor, self._path(), first=self._nodes))

    def _close(self) -> None:
        frame = self._frames.pop()
        for other in frame.merges:
            _merge(frame.node, other)
        size = self._nodes - frame.first + 1
        self._finish(frame.node, frame.anchor, size, frame.height)

    def _scalar(self, event: Any) -> None:
        mark = self._mark(event)
        self._count(1, mark)
        unquoted = not event.style and event.tag is None
        self._check_nul(event.value, mark)
        if event.tag not in _TEXT_TAGS:
            self.problem(mark, f"the tag {_tag(event.tag)} has no meaning here", "remove it")
        if self._wants_key():
            self._key(event.value, mark, unquoted=unquoted)
            if event.anchor:
                self._anchors[event.anchor] = _Anchored(Node(mark, event.value, text=event.value), 1, 0)
            return
        text = event.value
        if self._interpolate is not None and "$" in text:
            # Its place decides what it is; until then it is text. See `stack.load`.
            filled = self._interpolate(text, mark, self._path())
            value = text if filled is None else filled
            self._check_nul(value, mark)
            node = Node(mark, value, text=text, interpolated=True, failed=filled is None)
        else:
            node = Node(mark, resolve(text) if unquoted else text, text=text)
        self._finish(node, event.anchor, 1, 0)

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        name = shown(event.anchor)
        if event.anchor not in self._anchors:
            raise self.fatal(
                mark, f"the alias *{name} has no anchor before it", f"&{name} must stand earlier in this file"
            )
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise self.fatal(mark, f"the alias *{name} stands inside of what it refers to")
        self._count(anchored.size, mark)
        if len(self._frames) + anchored.height > MAX_DEPTH:
            raise self.fatal(mark, f"nested more than {MAX_DEPTH} deep")
        if self._wants_key():
            if not isinstance(anchored.node.value, str):
                raise self.fatal(mark, "a key must be text")
            self._key(anchored.node.value, mark, unquoted=False)
            return
        self._finish(anchored.node, None, anchored.size, anchored.height)

    # -- putting together --------------------------------------------------------------------------------------

    def _finish(self, node: Node, anchor: str | None, size: int, height: int) -> None:
        if anchor:
            self._anchors[anchor] = _Anchored(node, size, height)
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif isinstance(frame.node.value, dict) and frame.key is not None and frame.key_mark is not None:
            if frame.merging:
                self._note_merge(frame, node)
            elif frame.key not in frame.node.value:
                frame.node.value[frame.key] = node
                frame.node.keys[frame.key] = frame.key_mark
            frame.key = frame.key_mark = None

    def _key(self, text: str, mark: Mark, *, unquoted: bool) -> None:
        frame = self._frames[-1]
        frame.key, frame.key_mark = text, mark
        frame.merging = unquoted and text == "<<"
        if unquoted and not isinstance(resolve(text), str):
            self.problem(
                mark, f"the key {shown(text) or '(nothing)'} is not text", f'put it in quotes: "{shown(text)}"'
            )
        elif not frame.merging and (first := frame.node.keys.get(text)):
            self.problem(mark, f"`{shown(text)}` is written twice", f"first in line {first.line}", self._path())

    def _note_merge(self, frame: _Frame, node: Node) -> None:
        parts = node.value if isinstance(node.value, list) else [node]
        if not all(isinstance(part.value, dict) for part in parts):
            self.problem(node.mark, "`<<` takes a mapping or a list of mappings", "as in `<<: *name`", frame.path)
            return
        frame.merges.extend(parts)

    def _wants_key(self) -> bool:
        return bool(self._frames) and isinstance(self._frames[-1].node.value, dict) and self._frames[-1].key is None

    def _path(self) -> DocPath:
        """Of the node that comes next."""
        if not self._frames:
            return ()
        frame = self._frames[-1]
        if isinstance(frame.node.value, list):
            return (*frame.path, len(frame.node.value))
        return (*frame.path, frame.key) if frame.key is not None else frame.path

    def _check_nul(self, text: str, mark: Mark) -> None:
        """No path, argument or variable can hold it, however it is written."""
        if "\0" in text:
            self.problem(mark, "the character U+0000 cannot be used", "", self._path())

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        self._budget.nodes -= nodes
        if self._budget.nodes < 0:
            raise self.fatal(mark, f"more than {MAX_NODES} values, aliases expanded")

    # -- problems ----------------------------------------------------------------------------------------------

    def problem(self, mark: Mark, message: str, hint: str = "", path: DocPath = ()) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            raise self.fatal(mark, "too many problems: the rest of the file was not read")
        self.problems.append(Problem(mark, render_path(path), message, hint))

    def fatal(self, mark: Mark, message: str, hint: str = "") -> StackError:
        return StackError([*self.problems, Problem(mark, "", message, hint)], [self.file])

    def syntax(self, error: yaml.MarkedYAMLError, data: bytes) -> StackError:
        """The parser's own words, and ours where they are known to puzzle people."""
        at = error.problem_mark or error.context_mark
        if at is None:
            return self.fatal(Mark(self.file), "not valid YAML")
        mark = Mark(self.file, at.line + 1, at.column + 1)
        lines = data.decode("utf-8").splitlines()
        line = lines[at.line] if at.line < len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())] or line[at.column : at.column + 1] == "\t":
            return self.fatal(mark, "a tab cannot indent or start a value", "use spaces")
        message = f"not valid YAML: {error.problem or error.context}"
        if error.context and error.problem and error.context_mark:
            return self.fatal(mark, message, f"{error.context} that starts in line {error.context_mark.line + 1}")
        return self.fatal(mark, message)

    def _mark(self, event: Any) -> Mark:
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)


def _tag(tag: str) -> str:
    return shown(tag.replace("tag:yaml.org,2002:", "!!"))


def _merge(into: Node, other: Node) -> None:
    """Take over what is not there yet."""
    if isinstance(into.value, dict) and isinstance(other.value, dict):
        for key, node in other.value.items():
            if key not in into.value:
                into.value[key] = node
                into.keys[key] = other.keys[key]

"""From a stack file to resources, in one call: read, check, desire. Blocking; no state but what it was made with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vidops.errors import Mark, Problem, StackError
from vidops.planning.desire import Desire, DocPath, desire
from vidops.planning.plan import Applied
from vidops.ports import DeviceFacts
from vidops.resources.catalogue import Catalogue
from vidops.resources.layout import Layout
from vidops.resources.resource import JSON, Ref, Resource
from vidops.stack.load import load

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A stack file's meaning. `texts` holds every file that was read, so that it can be compiled again later."""

    path: str
    resources: tuple[Resource, ...]
    layout: Layout
    files: tuple[str, ...]
    texts: dict[str, str]
    name: str
    labels: dict[str, str]
    unavailable: Mapping[tuple[str, str], Problem] = field(default_factory=dict)
    """Entries (section and name) that had to be left out since a plugin did not load, each with its problem."""
    stack: Any = None
    """The checked document."""
    base_dir: str = ""
    """What relative paths in it are relative to."""
    mark: Callable[[DocPath], Mark] = lambda _: Mark("")
    """Where a part of it is written."""

    def held_back(self, applied: Iterable[Applied]) -> frozenset[Ref]:
        """What of `applied` belongs to entries that were left out: it stays as it is."""
        return frozenset(a.ref for a in applied if any(_belongs(a, *entry) for entry in self.unavailable))


@dataclass(frozen=True)
class Compiler:
    """`layout_for(stack's settings.data_dir or None, the stack file's directory)` gives the places."""

    catalogue: Catalogue
    env: Mapping[str, str]
    layout_for: Callable[[str | None, str], Layout]
    plugins: JSON

    def compile_around_broken_plugins(self, path: str, read: Read, devices: Sequence[DeviceFacts] = ()) -> Compiled:
        """As `compile`, but entries whose plugin did not load are left out, and with them what needs those.

        For a start: one plugin that broke in an upgrade must not keep every camera of a host down.
        """
        left_out: dict[tuple[str, str], Problem] = {}
        while True:
            try:
                return self.compile(path, read, devices, left_out)
            except StackError as error:
                caused_by_plugin = left_out or all(p.plugin for p in error.problems)
                found = {entry: p for p in reversed(error.problems) if (entry := _entry(p)) is not None}
                new = {entry: p for entry, p in found.items() if entry not in left_out}
                if not caused_by_plugin or len(new) == 0:
                    raise
                left_out.update(new)

    def compile(
        self,
        path: str,
        read: Read,
        devices: Sequence[DeviceFacts] = (),
        left_out: Mapping[tuple[str, str], Problem] | None = None,
    ) -> Compiled:
        """Raises `StackError` with every problem found."""
        texts: dict[str, str] = {}

        def remembering(name: str) -> bytes:
            data = read(name)
            texts[name] = data.decode("utf-8", "replace")
            return data

        loaded = load(path, catalogue=self.catalogue, env=self.env, read=remembering, leave_out=list(left_out or ()))
        stack: Any = loaded.stack
        base_dir = os.path.dirname(os.path.abspath(path))
        layout = self.layout_for(stack.settings.data_dir, base_dir)
        metadata = stack.metadata
        compiled = Compiled(
            path,
            (),
            layout,
            loaded.files,
            texts,
            metadata.name,
            dict(metadata.labels),
            unavailable=dict(left_out or {}),
            stack=stack,
            base_dir=base_dir,
            mark=loaded.mark,
        )
        return self.with_devices(compiled, devices)

    def with_devices(self, compiled: Compiled, devices: Sequence[DeviceFacts]) -> Compiled:
        """The same text, which is not read again, with other devices. Raises `StackError` for entries that cannot be
        built."""
        meant = Desire(
            stack=compiled.stack,
            catalogue=self.catalogue,
            layout=compiled.layout,
            mark=compiled.mark,
            devices=devices,
            plugins=self.plugins,
            base_dir=compiled.base_dir,
        )
        return replace(compiled, resources=desire(meant))


KIND_OF_SECTION = {
    "devices": "source",
    "captures": "capture",
    "loopbacks": "loopback",
    "gateways": "gateway",
    "hooks": "hook",
    "uploads": "upload",
}


def _entry(problem: Problem) -> tuple[str, str] | None:
    """The section and name of the entry that a problem is in."""
    section, _, rest = problem.path.partition(".")
    name = re.split(r"[.\[]", rest)[0]
    return (section, name) if name else None


def _belongs(applied: Applied, section: str, name: str) -> bool:
    kind, ref = KIND_OF_SECTION.get(section, ""), applied.ref
    if section == "loopbacks":
        graph = applied.data.get("description", {}).get("graph")
        return (ref.kind == kind and ref.name.startswith(f"{name}.")) or graph == name
    return ref == Ref(kind, name)


def reader_of(texts: Mapping[str, str]) -> Read:
    """Reads from texts that were kept instead of from disk."""

    def read(name: str) -> bytes:
        try:
            return texts[name].encode()
        except KeyError:
            raise FileNotFoundError(name) from None

    return read

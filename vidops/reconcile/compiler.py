"""From a stack file to resources, in one call: read, check, desire. Blocking; no state but what it was made with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidops.planning.desire import Desire, desire
from vidops.ports import DeviceFacts
from vidops.resources.catalogue import Catalogue
from vidops.resources.layout import Layout
from vidops.resources.resource import JSON, Resource
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


@dataclass(frozen=True)
class Compiler:
    """`layout_for(stack's settings.data_dir or None, the stack file's directory)` gives the places."""

    catalogue: Catalogue
    env: Mapping[str, str]
    layout_for: Callable[[str | None, str], Layout]
    plugins: JSON

    def compile(self, path: str, read: Read, devices: Sequence[DeviceFacts] = ()) -> Compiled:
        """Raises `StackError` with every problem found."""
        texts: dict[str, str] = {}

        def remembering(name: str) -> bytes:
            data = read(name)
            texts[name] = data.decode("utf-8", "replace")
            return data

        loaded = load(path, catalogue=self.catalogue, env=self.env, read=remembering)
        stack: Any = loaded.stack
        base_dir = os.path.dirname(os.path.abspath(path))
        layout = self.layout_for(stack.settings.data_dir, base_dir)
        resources = desire(
            Desire(
                stack=stack,
                catalogue=self.catalogue,
                layout=layout,
                mark=loaded.mark,
                devices=devices,
                plugins=self.plugins,
                base_dir=base_dir,
            )
        )
        metadata = stack.metadata
        return Compiled(path, resources, layout, loaded.files, texts, metadata.name, dict(metadata.labels))


def reader_of(texts: Mapping[str, str]) -> Read:
    """Reads from texts that were kept instead of from disk."""

    def read(name: str) -> bytes:
        try:
            return texts[name].encode()
        except KeyError:
            raise FileNotFoundError(name) from None

    return read

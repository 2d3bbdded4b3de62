"""What the tests of the front door share: stacks from text, and the golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vidops.planning.desire import Desire, desire
from vidops.resources.catalogue import Catalogue
from vidops.resources.layout import Layout
from vidops.resources.resource import Resource
from vidops.runtime.plugins import load_catalogue
from vidops.stack.load import Loaded, load

GOLDEN = Path(__file__).parent.parent / "golden"
FILE = "stack.yaml"
LAYOUT = Layout("/run/vidops", "/var/lib/vidops", "/srv/footage")


@cache
def built_ins() -> Catalogue:
    return load_catalogue()


def load_text(
    text: str | bytes,
    env: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    catalogue: Catalogue | None = None,
) -> Loaded:
    """The stack in `text`, called stack.yaml, beside `files`."""
    data = {name: content.encode() for name, content in (files or {}).items()}
    data[FILE] = text if isinstance(text, bytes) else text.encode()

    def read(name: str) -> bytes:
        if name not in data:
            raise FileNotFoundError(2, "No such file or directory", name)
        return data[name]

    return load(FILE, catalogue=catalogue or built_ins(), env=env or {}, read=read)


def resources_of(loaded: Loaded, catalogue: Catalogue | None = None) -> tuple[Resource, ...]:
    return desire(
        Desire(
            stack=loaded.stack,
            catalogue=catalogue or built_ins(),
            layout=LAYOUT,
            mark=loaded.mark,
            base_dir="/etc/vidops",
        )
    )


@dataclass(frozen=True)
class Case:
    """A golden case: what kind, a document (or two, before and after), other files, variables, and what is expected.

    The text: a line `# errors` or `# plan`, lines `# env NAME=value`, then the document, from its first line. A
    line `=====` begins the document that follows in time, a line `=== NAME` another file. A line of dashes ends the
    input.
    """

    kind: str
    documents: tuple[str, ...]
    expected: str
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    input: str = ""

    @classmethod
    def parse(cls, text: str) -> Case:
        given, _, expected = text.partition("\n----------\n")
        lines = given.split("\n")
        kind = lines.pop(0).removeprefix("# ")
        env: dict[str, str] = {}
        while lines and lines[0].startswith("# env "):
            name, _, value = lines.pop(0).removeprefix("# env ").partition("=")
            env[name] = value
        documents: list[list[str]] = [[]]
        files: dict[str, list[str]] = {}
        into = documents[0]
        for line in lines:
            if line == "=====":
                documents.append([])
                into = documents[-1]
            elif line.startswith("=== "):
                into = files[line.removeprefix("=== ")] = []
            else:
                into.append(line)
        return cls(
            kind,
            tuple("\n".join(document) + "\n" for document in documents),
            expected,
            {name: "\n".join(content) + "\n" for name, content in files.items()},
            env,
            given,
        )

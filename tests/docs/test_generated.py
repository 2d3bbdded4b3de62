"""Pages made from the code are what the code says now. `python docs/generate.py` writes them anew."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.docs.pages import ROOT
from vidops.app.settings import Settings
from vidops.cli.root import COMMANDS

NAMES = (
    "captures.md",
    "cli.md",
    "handlers.md",
    "hooks.md",
    "loopback-nodes.md",
    "middleware.md",
    "servers.md",
    "settings.md",
    "sources.md",
    "stack-file.md",
    "tenants.md",
    "uploads.md",
)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_these_are_the_pages(generate: ModuleType) -> None:
    assert sorted(generate.pages()) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_fresh(generate: ModuleType, name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == generate.pages()[name]


def test_nothing_is_left_out(generate: ModuleType) -> None:
    pages = generate.pages()
    assert [c for c in COMMANDS if f"\n## vidops {c}\n" not in pages["cli.md"]] == []
    assert [n for n in Settings.model_fields if f"`VIDOPS_{n.upper()}`" not in pages["settings.md"]] == []


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 31}, "whole number, 2 to 31"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, from above 0"),
        ({"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/Variable"}]}, "`true`, `false`"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "list of `a`, `b`"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "mapping of text"),
        ({"$ref": "#/$defs/SecretRef"}, "[Secret references](stack-file.md#secret-references)"),
    ],
)
def test_types_in_words(generate: ModuleType, schema: dict[str, object], words: str) -> None:
    assert generate.words(schema) == words

"""The JSON Schema: fresh, valid, and of one mind with the loader."""

from __future__ import annotations

import gc
import json
import os
import weakref
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings

from tests.stack.support import GOLDEN, Case, built_ins, load_text
from tests.stack.test_load import CATALOGUE, SECTIONS, TYPES
from vidops.errors import StackError
from vidops.resources.catalogue import Catalogue
from vidops.stack.load import load
from vidops.stack.nodes import plain
from vidops.stack.reader import read
from vidops.stack.schema import json_schema, stack_model

ROOT = Path(__file__).parent.parent.parent
COMMITTED = ROOT / "schemas" / "stack.v1.schema.json"

SCHEMA = json_schema(built_ins())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
TEST_SCHEMA = json_schema(CATALOGUE)
TEST_VALIDATOR = jsonschema.Draft202012Validator(TEST_SCHEMA)


def test_the_committed_schema_is_fresh() -> None:
    """`UPDATE_GOLDEN=1` writes it anew."""
    text = json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        COMMITTED.write_text(text)
    assert COMMITTED.read_text() == text


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(TEST_SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"]
    assert SCHEMA["title"] == "vidops stack"


def data_of(document: str) -> Any:
    root, problems = read(document.encode(), "f")
    assert not problems
    return plain(root)


def objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in objects(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if "properties" in schema and schema.get("type") == "object" else []
    return own + [found for item in schema.values() for found in objects(item)]


def test_no_entry_takes_unknown_keys() -> None:
    assert len(objects(SCHEMA)) > 10
    for entry in objects(SCHEMA):
        assert entry["additionalProperties"] is False, entry["title"]


def test_every_entry_is_described() -> None:
    """What an editor shows beside it comes from docstrings."""
    tagged = [entry for entry in objects(SCHEMA) if {"source", "type"} & set(entry["properties"])]
    ours = [SCHEMA, *(SCHEMA["$defs"][name] for name in ("Gateway", "Loopback", "Route", "TLS", "SecretRef", "Mode"))]
    for entry in [*tagged, *ours]:
        assert len(entry["description"]) > 10, entry["title"]
    for entry in ours:
        for key, value in entry["properties"].items():
            assert "description" in value or "$ref" in value, (entry["title"], key)


def test_names_are_checked_as_names() -> None:
    assert not VALIDATOR.is_valid({"apiVersion": "vidops/v1", "devices": {"Door": {"source": "testsrc"}}})
    assert not VALIDATOR.is_valid({"apiVersion": "vidops/v1", "devices": {"a${b}": {"source": "testsrc"}}})


CASES = [(path.stem, Case.parse(path.read_text())) for path in sorted(GOLDEN.glob("*.case"))]


@pytest.mark.parametrize(
    "document", [d for _, case in CASES if case.kind == "plan" for d in (*case.documents, *case.files.values())]
)
def test_what_can_be_planned_fits_the_schema(document: str) -> None:
    data = data_of(document)
    VALIDATOR.validate({"apiVersion": "vidops/v1", **data})


STACKS = sorted((ROOT / "stacks").glob("*.yaml"))


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_our_own_stacks_fit_the_schema(path: Path) -> None:
    VALIDATOR.validate(data_of(path.read_text()))
    assert load(str(path), catalogue=built_ins(), env={}).stack.apiVersion == "vidops/v1"


SHAPES = (
    "no-version", "wrong-version", "unknown-section", "section-is-a-list", "unknown-key", "unknown-source",
    "missing-keys",
    "wrong-types", "quoted-numbers", "bounds", "durations", "video-sizes", "names", "merged-mistake", "binds",
    "route-patterns", "methods", "handlers", "tls", "everything-at-once", "include-scalar", "not-a-mapping",
)  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_what_has_the_wrong_shape_does_not(name: str) -> None:
    case = dict(CASES)[name]
    assert not VALIDATOR.is_valid(data_of(case.documents[0]))


@settings(max_examples=150)
@given(SECTIONS)
def test_the_loader_takes_nothing_that_the_schema_refuses(sections: dict[str, Any]) -> None:
    sections = {"apiVersion": "vidops/v1", **{k: v for k, v in sections.items() if k != "include"}}
    try:
        load_text(json.dumps(sections, ensure_ascii=False), {"A": "1", "B": "b"}, catalogue=CATALOGUE)
    except StackError:
        return
    TEST_VALIDATOR.validate(sections)


def test_variables_are_taken_wherever_a_value_is() -> None:
    text = """\
apiVersion: vidops/v1
devices:
  a: {source: bench, mode: {framerate: "${F}", video_size: "${S}"}, lanes: ["${L}"], always_on: "${B}", colour: "${C}",
      either: "${L}", start_timeout: "${D}"}
"""
    env = {"F": "30", "S": "640x360", "L": "7", "B": "false", "C": "blue", "D": "3s"}
    assert load_text(text, env, catalogue=CATALOGUE).stack.devices["a"].lanes == (7,)
    TEST_VALIDATOR.validate(data_of(text))
    assert not TEST_VALIDATOR.is_valid(data_of(text.replace("${F}", "F")))


def test_the_model_is_made_once_for_a_catalogue_and_goes_with_it() -> None:
    catalogue = Catalogue.of(TYPES)
    model = stack_model(catalogue)
    assert stack_model(catalogue) is model
    assert stack_model(Catalogue.of(TYPES)) is not model
    gone = weakref.ref(catalogue)
    del catalogue
    gc.collect()
    assert gone() is None

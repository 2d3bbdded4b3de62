"""Edits of stacks that are right: what the JSON Schema says of the result is what the model says."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.stack.support import GOLDEN, Case, built_ins
from vidops.stack.nodes import plain
from vidops.stack.reader import read
from vidops.stack.schema import json_schema, stack_model

MODEL = stack_model(built_ins())
VALIDATOR = jsonschema.Draft202012Validator(json_schema(built_ins()))


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for step in steps:
        yield (*path, step)
        yield from places(value[step], (*path, step))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


CASES = [Case.parse(path.read_text()) for path in sorted(GOLDEN.glob("plan-*.case"))]
STACKS = [
    stack
    for case in CASES
    for document in case.documents
    if "${" not in document
    if VALIDATOR.is_valid(stack := plain(read(document.encode(), "f")[0]))
]
KEYS = sorted({step for stack in STACKS for path in places(stack) for step in path if isinstance(step, str)})
VALUES = [
    *(at(stack, path) for stack in STACKS for path in places(stack)),
    *(None, True, False, 0, 1, -1, 1.5, 1e17, "", "x", "10s", "5MB", "1280x720", "0.0.0.0:80", [], {}, ["GET"]),
    *({"env": "A"}, {"file": "x", "env": ""}, {"serial": "1"}, {"any_of": [{"usb": "046d:0825"}]}),
]


def edit(stack: Any, dice: Random) -> None:
    """Put another value somewhere, take something away, or add a key that belongs elsewhere."""
    path = dice.choice(list(places(stack)))
    around = at(stack, path[:-1])
    match dice.choice(["replace", "replace", "delete", "add"]):
        case "delete":
            del around[path[-1]]
        case "add" if isinstance(around, dict):
            around[dice.choice(KEYS)] = copy.deepcopy(dice.choice(VALUES))
        case _:
            around[path[-1]] = copy.deepcopy(dice.choice(VALUES))


def refusals(stack: Any) -> set[str]:
    try:
        MODEL.model_validate(stack, strict=True)
    except ValidationError as error:
        return {e["type"] for e in error.errors(include_url=False)}
    return set()


def test_there_is_something_to_edit() -> None:
    assert len(STACKS) >= 10


@settings(max_examples=300)
@given(st.sampled_from(STACKS), st.randoms(use_true_random=False))
def test_schema_and_model_are_of_one_mind(stack: Any, dice: Random) -> None:
    stack = copy.deepcopy(stack)
    edit(stack, dice)
    refused = refusals(stack)
    # What a validator says in words (the end of a range of ports, an empty match) no schema can say.
    assert VALIDATOR.is_valid(stack) == (not refused) or refused == {"value_error"}

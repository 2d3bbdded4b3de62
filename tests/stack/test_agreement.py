"""The front door and the gateway read addresses and routes in the same way."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.stack.support import load_text
from vidops.errors import PermanentError, StackError
from vidops.gateway.binds import Bind
from vidops.gateway.routing import Pattern, Table
from vidops.stack.scalars import parse_bind, parse_route

pieces = st.lists(
    st.sampled_from(["/", "*", "**", "a", "b", ".", "..", "?", "#", "%", " ", "\\", "é", "\n"]), max_size=7
)


@given(pieces.map("".join))
def test_a_route_that_is_taken_is_one_for_the_gateway(text: str) -> None:
    try:
        parse_route(text)
    except ValueError:
        return
    assert Pattern.parse(text).text == text


@given(pieces.map("".join))
def test_a_route_that_the_gateway_refuses_is_not_taken(text: str) -> None:
    try:
        Pattern.parse(text)
    except PermanentError:
        refused = True
    else:
        refused = False
    try:
        parse_route(text)
    except ValueError:
        refused = False
    assert not refused


@given(
    st.lists(
        st.sampled_from(["127.0.0.1", "localhost", "[::1]", "::1", "[", "]", ":", "0", "80", "99999", "unix:", "/a",
                         " "]),
        max_size=5,
    ).map("".join)
)  # fmt: skip
@example("unix:0")
def test_an_address_that_is_taken_is_one_for_the_gateway(text: str) -> None:
    try:
        parse_bind(text)
    except ValueError:
        return
    assert Bind.parse(text).text == text


SEGMENTS = ["a", "b"]
PATHS = ["/", *("/" + "/".join(p) for n in (1, 2, 3) for p in itertools.product([*SEGMENTS, "zz", ""], repeat=n))]
METHODS = ["GET", "HEAD", "PUT", "BREW"]
patterns = st.lists(st.sampled_from([*SEGMENTS, "*"]), max_size=2).flatmap(
    lambda inner: st.sampled_from(["", "a", "*", "**"]).map(lambda last: "/" + "/".join([*inner, last]))
)
methods = st.lists(st.sampled_from(METHODS[:3]), max_size=2, unique=True)
routes = st.lists(st.tuples(patterns, methods), min_size=1, max_size=5)


def unreachable(table: list[tuple[str, list[str]]]) -> set[int]:
    """The routes that the front door calls out of reach."""
    entries: list[dict[str, Any]] = [
        {"path": path, "methods": methods, "handler": {"type": "respond"}} for path, methods in table
    ]
    stack = {"apiVersion": "vidops/v1", "gateways": {"g": {"bind": "127.0.0.1:0", "routes": entries}}}
    try:
        load_text(json.dumps(stack))
    except StackError as error:
        problems = error.problems
    else:
        problems = ()
    assert all("can never be reached" in p.message for p in problems)
    return {int(re.findall(r"routes\[(\d+)\]", p.path)[0]) for p in problems}


@settings(max_examples=100)
@given(routes)
def test_what_is_called_out_of_reach_is_never_reached(table: list[tuple[str, list[str]]]) -> None:
    gateway = Table((Pattern.parse(path), methods, i) for i, (path, methods) in enumerate(table))
    reached = {gateway.find(path, method).target for path in PATHS for method in METHODS}
    assert not unreachable(table) & reached


@settings(max_examples=100)
@given(patterns, patterns)
def test_a_route_behind_one_that_covers_it_is_called_out_of_reach(first: str, second: str) -> None:
    gateway = Table((Pattern.parse(path), (), i) for i, path in enumerate([first, second]))
    reached = {gateway.find(path, "GET").target for path in PATHS}
    assert (1 not in reached) == (1 in unreachable([(first, []), (second, [])]))

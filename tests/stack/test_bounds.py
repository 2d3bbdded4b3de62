"""Stacks that are meant to hurt: what is slow for each of many entries, and messages as long as the file.

The bounds are loose: what they are to catch takes minutes.
"""

from __future__ import annotations

import time

import pytest

from tests.stack.support import load_text
from vidops.errors import StackError
from vidops.stack.include import MAX_FILES
from vidops.stack.load import MAX_SHOWN

ROUTE = "routes: [{path: /, handler: {type: respond}}]"


def section(name: str, *entries: str) -> str:
    return f"apiVersion: vidops/v1\n{name}:\n" + "".join(f"  {entry}\n" for entry in entries)


HURTFUL = {
    "variables that fail where nothing belongs": section(
        "devices", "a: {source: testsrc,", *(f'  k{i}: "${{X}}",' for i in range(40_000)), "}"
    ),
    "chains that contain themselves": section("middleware", *(f"a{i}: [a{i}]" for i in range(20_000))),
    "a circle of chains": section("middleware", *(f"c{i}: [c{(i + 1) % 9000}]" for i in range(9000))),
    "a circle of nodes": section(
        "loopbacks",
        "g: {nodes: {",
        *(f"n{i}: {{type: filter, in: n{(i + 1) % 9000}, filter: hflip}}," for i in range(9000)),
        "}}",
    ),
    "a circle of cameras": section(
        "loopbacks",
        *(
            f"g{i}: {{nodes: {{c: {{type: camera, device: x{(i + 1) % 4000}}}, "
            f"o: {{type: camera_out, in: c, name: x{i}}}}}}}"
            for i in range(4000)
        ),
    ),
    "addresses": section("gateways", f"g: {{{ROUTE}, bind: [", *(f"'0.0.0.0:{i + 1}'," for i in range(30_000)), "]}"),
    "the same route": section(
        "gateways",
        "g: {bind: 'a:1', routes: [",
        *("{path: /a, methods: [GET], handler: {type: respond}}," for _ in range(12_000)),
        "]}",
    ),
    "links to nothing": section("middleware", f"c: [{', '.join(f'n{i}' for i in range(90_000))}]"),
    "captures of nothing": section("captures", *(f"c{i}: {{device: nope{i}}}" for i in range(15_000))),
    "directives": "".join(f"%TAG !h{i}! x\n" for i in range(60_000)) + "---\na: 1\n",
    "parts that go one by one": section(
        "devices",
        f"a: {{source: v4l2, match: {'{not: ' * 56}{{seria: a}}{'}' * 56}}}",
        *(f"c{i}: {{source: testsrc}}" for i in range(20_000)),
    ),
    "a default that is not used": section("metadata", 'labels: {a: "${A:-' + "x$$" * 300_000 + '"}'),
    "a variable many times": section("metadata", "labels: {", *(f'k{i}: "x${{A}}",' for i in range(40_000)), "}"),
}


@pytest.mark.parametrize("text", HURTFUL.values(), ids=HURTFUL)
def test_what_is_meant_to_hurt_does_not(text: str) -> None:
    started = time.monotonic()
    try:
        load_text(text, {"A": "y" * 60_000})
    except StackError as error:
        told = str(error).split("\n")
    else:
        told = []
    assert time.monotonic() - started < 30
    assert len(told) <= MAX_SHOWN + 1
    assert max(map(len, told), default=0) < 1000


def test_files_that_include_all_files() -> None:
    everything = f"include: [{', '.join(f'f{i}' for i in range(500))}]\n"
    with pytest.raises(StackError) as caught:
        load_text(f"apiVersion: vidops/v1\n{everything}", files={f"f{i}": everything for i in range(500)})
    assert len(caught.value.files) == MAX_FILES
    assert str(caught.value).count(f"more than {MAX_FILES} files") <= 1
    assert max(map(len, str(caught.value).split("\n"))) < 1000


def test_a_circle_is_told_with_its_ends() -> None:
    with pytest.raises(StackError) as caught:
        load_text(section("middleware", *(f"c{i}: [c{(i + 1) % 100}]" for i in range(100))))
    assert str(caught.value) == (
        "stack.yaml:3:3: middleware.c0: the chain contains itself: "
        "c0 -> c1 -> c2 -> c3 -> c4 -> ... -> c97 -> c98 -> c99 -> c0"
    )

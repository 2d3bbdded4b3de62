"""`traceparent`: a trace that a client began goes on, whatever else it sent begins one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import get
from tests.gateway.world import World, route
from vidops_plugins.middleware.traceparent import parse

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"


def link(**options: object) -> dict[str, object]:
    return {"type": "traceparent", "options": options}


async def seen(world: World, path: str, headers: str = "") -> dict[str, list[str]]:
    """Fields of the request that the handler was given."""
    fields: dict[str, list[str]] = {}
    for name, value in (await get(world.port, path, headers=headers)).json()["headers"]:
        fields.setdefault(name, []).append(value)
    return fields


async def test_a_trace_goes_on_with_a_span_of_ours(world: World) -> None:
    await world.start([route("/", "echo", chain=[link(), "access_log"])])
    state = "tracestate: a=1\r\ntracestate: b=2\r\n"
    fields = await seen(world, "/", f"traceparent: {GIVEN}\r\n{state}")
    (parent,) = fields["traceparent"]
    match = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", parent)
    assert match is not None
    assert match[1] != "00f067aa0ba902b7"
    assert fields["tracestate"] == ["a=1,b=2"]
    (line,) = [r for r in world.log if r.get("event") == "request"]
    assert line["trace_id"] == TRACE


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"{GIVEN}-more",
        f"{GIVEN}\r\ntraceparent: {GIVEN}",
    ],
)
async def test_what_is_none_begins_one_of_its_own(world: World, given: str) -> None:
    await world.start([route("/", "echo", chain=[link()])])
    fields = await seen(world, "/", f"traceparent: {given}\r\ntracestate: a=1\r\n")
    (parent,) = fields["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", parent)
    assert TRACE not in parent
    assert "tracestate" not in fields


async def test_a_stranger_joins_no_trace(world: World) -> None:
    await world.start([route("/", "echo", chain=[link(trust=False)])])
    fields = await seen(world, "/", f"traceparent: {GIVEN}\r\ntracestate: a=1\r\n")
    assert TRACE not in fields["traceparent"][0]
    assert "tracestate" not in fields


async def test_a_state_without_end_is_not_passed_on(world: World) -> None:
    await world.start([route("/", "echo", chain=[link()])])
    fields = await seen(world, "/", f"traceparent: {GIVEN}\r\ntracestate: {'a=1,' * 200}b=1\r\n")
    assert "tracestate" not in fields


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse(f"01-{TRACE}-00f067aa0ba902b7-09-what-is-new".encode()) == (TRACE.encode(), b"01")


@given(st.binary(max_size=80))
def test_any_bytes_are_read(data: bytes) -> None:
    found = parse(data)
    assert found is None or len(found[0]) == 32

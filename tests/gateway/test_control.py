"""The control socket: lines in, lines out, whatever they hold."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.world import World, route
from vidops.gateway.control import MAX_LINE, ControlSocket


@pytest.fixture
async def ask(world: World) -> AsyncIterator[Any]:
    """Ask over one connection; `ask.drained` is set once the process was told to end."""
    await world.start([route("/a", "respond")])
    drained = asyncio.Event()
    path = world.layout.gateway_socket("public")
    control = ControlSocket(world.gateway, path, drained.set, world.log.append)
    await control.open()
    reader, writer = await asyncio.open_unix_connection(path)

    async def ask(line: bytes | dict[str, Any]) -> Any:
        writer.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        async with asyncio.timeout(5):
            return json.loads(await reader.readline())

    ask.drained = drained  # type: ignore[attr-defined]
    yield ask
    writer.close()
    control.close()
    assert not os.path.exists(path)


async def test_only_its_owner_may_use_it(world: World, ask: Any) -> None:
    assert stat.S_IMODE(os.stat(world.layout.gateway_socket("public")).st_mode) == 0o600


async def test_status_says_what_is_served(world: World, ask: Any) -> None:
    answer = await ask({"op": "status"})
    assert answer["ok"]
    assert answer["generation"] == 1
    assert answer["binds"] == list(world.gateway.addresses)
    assert (answer["connections"], answer["streams"], answer["requests"]) == (0, 0, 0)
    assert answer["rss"] > 1_000_000


async def test_the_fingerprint_is_the_writers_own(world: World, ask: Any) -> None:
    world.write([route("/b", "respond")], fingerprint="0123abcd")
    assert await ask({"op": "reload"}) == {"ok": True, "generation": 2}
    assert (await ask({"op": "status"}))["fingerprint"] == "0123abcd"


async def test_a_reload_that_fails_says_why_and_changes_nothing(world: World, ask: Any) -> None:
    world.write([route("/b", "unbuildable")])
    answer = await ask({"op": "reload"})
    assert (answer["ok"], answer["reason"]) == (False, "InvalidRoute")
    assert "cannot be built" in answer["error"]
    assert (await ask({"op": "status"}))["generation"] == 1


async def test_drain_ends_the_process(ask: Any) -> None:
    assert await ask({"op": "drain"}) == {"ok": True}
    assert ask.drained.is_set()


@pytest.mark.parametrize("line", [b"", b"null", b"[]", b"{}", b'{"op": 1}', b'{"op": "rm"}', b"\xff", b"[" * 10_000])
async def test_what_is_no_request_is_told_so(ask: Any, line: bytes) -> None:
    answer = await ask(line)
    assert (answer["ok"], answer["reason"]) == (False, "InvalidRequest")
    assert (await ask({"op": "status"}))["ok"]


async def test_a_line_without_an_end_is_cut_off(world: World, ask: Any) -> None:
    answer = await ask(b"x" * (MAX_LINE + 10))
    assert answer["reason"] == "InvalidRequest"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(line=st.binary(max_size=60))
def test_any_line_has_an_answer(line: bytes) -> None:
    async def run() -> Any:
        control = ControlSocket(None, "", lambda: None, lambda _: None)  # type: ignore[arg-type]
        return await control.answer(line)

    answer = asyncio.run(run())
    assert answer["ok"] is False

"""`control`: cameras as they change, resumed where one was, and commands with answers; whatever is sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.client import get
from tests.gateway.world import BOTH, World, route, until
from tests.gateway.ws import Socket
from vidops.api import TENANT, Tenant
from vidops_plugins.handlers import control

SERVERS = BOTH

ROUTES = [route("/ws/**", "control", writable=True)]
CAPTURE = {"kind": "capture", "name": "asked", "health": "Suspended", "facts": {"camera": "door"}}


@pytest.fixture
async def served(world: World) -> World:
    world.control.answer = {"resources": [CAPTURE]}
    await world.start(ROUTES)
    return world


async def test_the_whole_and_then_what_changes(served: World) -> None:
    async with Socket(served.port, "/ws/devices") as ws:
        assert ws.status == 101
        first = await ws.ask(op="subscribe")
        assert [d["name"] for d in first["devices"]] == ["door", "yard"]
        served.cameras.change("door", state="Stalled", reason="Stalled")
        told = await ws.get()
        assert (told["event"], told["device"]["state"]) == ("device", "Stalled")
        served.cameras.change("yard")
        gone = await ws.get()
        assert (gone["event"], gone["name"]) == ("removed", "yard")
        assert gone["token"] != told["token"] != first["token"]


async def test_who_comes_again_is_told_what_was_missed(served: World) -> None:
    async with Socket(served.port, "/ws") as ws:
        token = (await ws.ask(op="subscribe"))["token"]
    for number in range(3):
        served.cameras.change("door", state=f"S{number}")
    await until(served.cameras.changes.empty, "the changes are taken")
    async with Socket(served.port, "/ws") as ws:
        answer = await ws.ask(op="subscribe", since=token)
        assert "devices" not in answer
        assert [(await ws.get())["device"]["state"] for _ in range(3)] == ["S0", "S1", "S2"]
    # Too long ago, or of another life: the whole.
    for number in range(control.LOG + 5):
        served.cameras.change("door", state=f"S{number}")
    await until(served.cameras.changes.empty, "the changes are taken")
    for since in (token, "00000000-1", "x", 7, None, {}, "9" * 1000):
        async with Socket(served.port, "/ws") as ws:
            assert len((await ws.ask(op="subscribe", since=since))["devices"]) == 2


async def test_commands_are_answered_by_their_ids(served: World) -> None:
    async with Socket(served.port, "/ws") as ws:
        await ws.send({"id": 7, "op": "capture_start", "name": "asked"})
        assert await ws.get() == {"id": 7, "ok": True}
        assert served.control.posted == [("/v1/captures/asked/start", {})]
        assert (await ws.ask(op="capture_stop", name="nobody"))["reason"] == "UnknownCapture"
        served.control.refuses = "NotOnDemand"
        assert (await ws.ask(op="capture_stop", name="asked"))["reason"] == "NotOnDemand"
        served.control.answer = None
        assert (await ws.ask(op="capture_stop", name="asked"))["reason"] == "ControlPlaneDown"
        assert (await ws.ask(op="ping"))["ok"]


async def test_where_it_is_not_said_nobody_commands(world: World) -> None:
    await world.start([route("/ws", "control")])
    async with Socket(world.port, "/ws") as ws:
        assert (await ws.ask(op="capture_start", name="asked"))["reason"] == "ReadOnly"
    assert world.control.posted == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1.evil.example"])
async def test_another_sites_page_gets_no_socket(served: World, origin: str) -> None:
    async with Socket(served.port, "/ws", {"Origin": origin}) as ws:
        assert ws.status == 403
    async with Socket(served.port, "/ws", {"Origin": f"http://127.0.0.1:{served.port}"}) as ws:
        assert ws.status == 101
    assert (await get(served.port, "/ws")).status == 426


@pytest.mark.parametrize(
    ("text", "code"), [(b"binary", 1003), ("x" * (control.LARGEST + 1), 1009), (["{}"] * control.MOST_MISTAKES, 1008)]
)
async def test_who_breaks_the_rules_is_let_go(served: World, text: Any, code: int) -> None:
    async with Socket(served.port, "/ws") as ws:
        for one in text if isinstance(text, list) else [text]:
            await ws.send(one)
        while await ws.get() is not None:
            pass
        assert ws.code == code


async def test_the_end_of_the_route_ends_it_in_good_order(served: World) -> None:
    async with Socket(served.port, "/ws") as ws:
        await ws.ask(op="subscribe")
        await served.edit([route("/other", "control")])
        while await ws.get() is not None:
            pass
        assert ws.code == 1001


class Heard:
    """A connection without a gateway: what is asked of it, and what it says."""

    def __init__(self, world: World, scope: dict[str, Any] | None = None) -> None:
        context: Any = world
        self.session = control.Session(scope or {}, context, control.Log(context), writable=True)

    async def say(self, *texts: str) -> tuple[int, list[dict[str, Any]]]:
        left = [{"type": "websocket.receive", "text": text} for text in texts] + [{"type": "websocket.disconnect"}]

        async def receive() -> Any:
            return left.pop(0)

        code = await self.session.read(receive)
        return code, list(self.session._answers)


async def test_a_tenant_hears_of_its_own_cameras_alone(world: World) -> None:
    _, answers = await Heard(world, {TENANT: Tenant("acme", ("door",))}).say('{"id": 1, "op": "subscribe"}')
    assert [d["name"] for d in answers[0]["devices"]] == ["door"]


JSONS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
OPS = st.sampled_from(["subscribe", "ping", "capture_stop"])
REQUESTS = st.fixed_dictionaries({"id": JSONS, "op": OPS, "since": JSONS, "name": JSONS})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=30) | JSONS.map(json.dumps) | REQUESTS.map(json.dumps), max_size=5))
async def test_any_text_is_answered(world: World, texts: list[str]) -> None:
    code, answers = await Heard(world).say(*texts)
    assert code == 1000
    assert len(answers) == len(texts)
    assert all(a["ok"] or a["error"] for a in answers)
    for answer in answers:
        json.dumps(answer)


async def test_one_that_reads_nothing_is_let_go_and_costs_no_other_anything(world: World) -> None:
    context: Any = world
    log = control.Log(context)
    await log.start()

    async def never(_: Any) -> None:
        await asyncio.Event().wait()

    session = control.Session({}, context, log, writable=False, patience=0.05)
    session._answer({"id": 1, "ok": True})
    with pytest.raises(TimeoutError):
        await session.write(never)
    await log.stop()


async def test_one_that_asks_and_does_not_listen_is_let_go(world: World) -> None:
    code, _ = await Heard(world).say(*['{"id": 1, "op": "ping"}'] * (control.MOST_UNREAD + 5))
    assert code == 1008

"""The devices API: controls and holding of cameras, over HTTP and the WebSocket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.client import Answer, get
from tests.gateway.world import World, route
from tests.gateway.ws import Socket
from vidops.ports import ControlFacts

BRIGHTNESS = ControlFacts(1, "brightness", "Brightness", "integer", 0, 255, 1, 128, 128)
ROUTES = [
    route("/v1/devices/**", "devices", writable=True),
    route("/read/**", "devices"),
    route("/ws/**", "control", writable=True),
    route("/look/**", "control"),
]


@pytest.fixture
async def api(world: World) -> World:
    world.cameras.knobs["door"] = [BRIGHTNESS]
    await world.start(ROUTES)
    return world


async def send(world: World, method: str, path: str, body: object = None, headers: str = "") -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    return await get(world.port, path, method=method, body=data, headers=headers)


async def test_controls_are_read_and_set(api: World) -> None:
    answer = await get(api.port, "/v1/devices/door/controls")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body)["controls"][0]["value"] == 128
    answer = await send(api, "PATCH", "/v1/devices/door/controls", {"brightness": 7})
    assert answer.status == 200
    assert json.loads(answer.body)["controls"][0]["value"] == 7


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("door", {"brightness": 256}, 422, "ControlRefused"),
        ("door", {"brightness": "high"}, 422, "ControlRefused"),
        ("door", {"zoom": 1}, 422, "ControlRefused"),
        ("door", {}, 400, "BadRequest"),
        ("door", [], 400, "BadRequest"),
        ("door", {"brightness": 1.5}, 400, "BadRequest"),
        ("door", {"brightness": None}, 400, "BadRequest"),
        ("door", b"{", 400, "BadRequest"),
        ("door", b"[" * 60_000, 400, "BadRequest"),
        ("door", b"\xff", 400, "BadRequest"),
        ("doors", {"brightness": 1}, 404, "UnknownCamera"),
        ("yard", {"brightness": 1}, 422, "ControlRefused"),
    ],
)
async def test_what_is_refused(api: World, path: str, body: object, status: int, reason: str) -> None:
    answer = await send(api, "PATCH", f"/v1/devices/{path}/controls", body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert json.loads(answer.body)["reason"] == reason
    assert api.cameras.knobs["door"] == [BRIGHTNESS]


async def test_a_near_name_is_told(api: World) -> None:
    answer = await get(api.port, "/v1/devices/doors/controls")
    assert "did you mean door?" in json.loads(answer.body)["detail"]


async def test_a_camera_without_controls(api: World) -> None:
    answer = await get(api.port, "/v1/devices/yard/controls")
    assert (answer.status, json.loads(answer.body)["reason"]) == (409, "NoControls")


async def test_start_and_stop(api: World) -> None:
    answer = await send(api, "POST", "/v1/devices/door/start")
    assert (answer.status, json.loads(answer.body)["held"]) == (200, True)
    assert api.cameras.held == {"door"}
    answer = await send(api, "POST", "/v1/devices/door/stop")
    assert (answer.status, api.cameras.held) == (200, set())
    assert (await send(api, "POST", "/v1/devices/door/dance")).status == 404
    assert (await send(api, "POST", "/v1/devices/attic/start")).status == 404
    assert (await send(api, "GET", "/v1/devices/door/start")).status == 405


async def test_nothing_is_set_where_the_route_does_not_say_so(api: World) -> None:
    assert (await get(api.port, "/read/door/controls")).status == 200
    assert (await send(api, "PATCH", "/read/door/controls", {"brightness": 1})).status == 405
    assert (await send(api, "POST", "/read/door/start")).status == 404
    assert api.cameras.knobs["door"] == [BRIGHTNESS]


async def test_another_sites_page_sets_nothing(api: World) -> None:
    answer = await send(
        api, "PATCH", "/v1/devices/door/controls", {"brightness": 1}, "Origin: https://evil.example\r\n"
    )
    assert (answer.status, json.loads(answer.body)["reason"]) == (403, "CrossSite")
    answer = await send(api, "POST", "/v1/devices/door/start", headers="Sec-Fetch-Site: cross-site\r\n")
    assert answer.status == 403
    assert api.cameras.held == set()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.one_of(st.just("brightness"), st.text(max_size=8)),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers())),
        max_size=3,
    )
)
async def test_no_body_breaks_it(api: World, body: dict[str, Any]) -> None:
    answer = await send(api, "PATCH", "/v1/devices/door/controls", body)
    assert answer.status in (200, 400, 422)
    assert 0 <= int(api.cameras.knobs["door"][0].value or 0) <= 255


async def test_the_websocket_does_the_same(api: World) -> None:
    async with Socket(api.port, "/ws/devices") as ws:
        told = await ws.ask(op="controls", name="door")
        assert told["ok"]
        assert told["controls"][0]["name"] == "brightness"
        told = await ws.ask(op="set_controls", name="door", values={"brightness": 3})
        assert told["controls"][0]["value"] == 3
        refused = await ws.ask(op="set_controls", name="door", values={"brightness": -1})
        assert (refused["ok"], refused["reason"]) == (False, "ControlRefused")
        assert (await ws.ask(op="set_controls", name="door"))["reason"] == "BadRequest"
        assert (await ws.ask(op="controls", name="attic"))["reason"] == "UnknownCamera"
        assert (await ws.ask(op="camera_start", name="door"))["device"]["held"] is True
        assert (await ws.ask(op="camera_stop", name="door"))["device"]["held"] is False


async def test_the_websocket_sets_nothing_where_the_route_does_not_say_so(api: World) -> None:
    async with Socket(api.port, "/look/devices") as ws:
        assert (await ws.ask(op="controls", name="door"))["ok"]
        for operation in ("set_controls", "camera_start", "camera_stop"):
            answer = await ws.ask(op=operation, name="door", values={"brightness": 1})
            assert answer["reason"] == "ReadOnly"
    assert api.cameras.knobs["door"] == [BRIGHTNESS]

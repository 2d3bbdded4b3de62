"""`devices`, `health` and `status`: what is known, as JSON, and what is not, as a problem."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route


async def test_devices_lists_every_camera_by_name(world: World) -> None:
    await world.start([route("/v1/devices/**", "devices")])
    world.cameras.say("yard", state="Failed", reason="Exited", message="ended", width=640)
    for path in ("/v1/devices", "/v1/devices/"):
        answer = await get(world.port, path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert [d["name"] for d in answer.json()["devices"]] == ["door", "yard"]
        assert answer.json()["devices"][1]["message"] == "ended"
        assert answer.json()["hub"] == "connected"


async def test_devices_shows_one(world: World) -> None:
    await world.start([route("/v1/devices/**", "devices")])
    assert (await get(world.port, "/v1/devices/door")).json()["state"] == "Online"
    assert (await get(world.port, "/v1/devices/door", method="HEAD")).status == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v1/devices/dor", "GET", 404),
        ("/v1/devices/door/x", "GET", 404),
        ("/v1/devices/door", "DELETE", 405),
        ("/v1/devices", "POST", 405),
        ("/v1/devices/%C3%A9", "GET", 404),
    ],
)
async def test_devices_answers_what_there_is_not_with_a_problem(
    world: World, path: str, method: str, status: int
) -> None:
    await world.start([route("/v1/devices/**", "devices")])
    answer = await get(world.port, path, method=method)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    if path.endswith("/dor"):
        assert answer.json()["nearest"] == ["door"]
    if status == 405:
        assert "GET" in answer.headers["allow"]


async def test_devices_says_when_the_hub_is_away(world: World) -> None:
    await world.start([route("/v1/devices/**", "devices")])
    world.cameras.connected.clear()
    assert (await get(world.port, "/v1/devices")).json()["hub"] == "does not answer"


async def test_livez_and_readyz(world: World) -> None:
    await world.start([route("/livez", "health"), route("/readyz", "health"), route("/up", "health", probe="live")])
    assert (await get(world.port, "/readyz")).json() == {"status": "ready", "checks": {"hub": "connected"}}
    world.cameras.connected.clear()
    assert (await get(world.port, "/livez")).status == 200
    assert (await get(world.port, "/up")).status == 200
    answer = await get(world.port, "/readyz")
    assert (answer.status, answer.json()["checks"]) == (503, {"hub": "does not answer"})
    assert int(answer.headers["retry-after"]) > 0
    world.cameras.connected.set()
    assert (await get(world.port, "/readyz")).status == 200


@pytest.mark.parametrize("handler", ["health", "status"])
async def test_it_is_only_read(world: World, handler: str) -> None:
    await world.start([route("/livez", handler)])
    for method in ("DELETE", "POST", "OPTIONS"):
        answer = await get(world.port, "/livez", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await get(world.port, "/livez", method="HEAD")).status == 200


async def test_status_is_what_the_control_plane_says(world: World) -> None:
    await world.start([route("/v1/status", "status")])
    assert (await get(world.port, "/v1/status")).json() == world.control.answer


async def test_status_is_503_while_the_control_plane_is_away(world: World) -> None:
    await world.start([route("/v1/status", "status", max_age="1ms")])
    world.control.answer = None
    answer = await get(world.port, "/v1/status")
    assert (answer.status, answer.json()["reason"]) == (503, "ControlPlaneDown")
    world.control.answer = {"sync": "Synced"}
    async with asyncio.timeout(5):
        while (answer := await get(world.port, "/v1/status")).status != 200:  # the refusal is kept for max_age, too
            await asyncio.sleep(0.002)
    assert answer.json() == {"sync": "Synced"}


async def test_many_who_look_ask_the_control_plane_once(world: World) -> None:
    await world.start([route("/v1/status", "status", max_age="1h")])
    answers = await asyncio.gather(*(get(world.port, "/v1/status") for _ in range(20)))
    assert {a.status for a in answers} == {200}
    assert world.control.asked == 1

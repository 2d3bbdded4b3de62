"""`devices`, `status`, `health`, `respond`: small answers, right ones, and clear ones when parts are away."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.client import Answer, get
from tests.gateway.world import World, route
from vidops.errors import PermanentError

ROUTES = [
    route("/v1/devices/**", "devices"),
    route("/v1/status", "status", max_age="300ms"),
    route("/livez", "health"),
    route("/readyz", "health"),
    route("/alive", "health", probe="live"),
]


def is_problem(answer: Answer, status: int) -> bool:
    return answer.status == status == answer.json()["status"] and (
        answer.headers["content-type"] == "application/problem+json"
    )


async def test_devices_by_list_and_by_name(world: World) -> None:
    world.cameras.say("door", captured_fps=29.9, description={"driver": "uvcvideo"})
    await world.start(ROUTES)
    answer = await get(world.port, "/v1/devices")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert [device["name"] for device in answer.json()["devices"]] == ["door", "yard"]
    one = (await get(world.port, "/v1/devices/door")).json()
    assert (one["captured_fps"], one["description"]) == (29.9, {"driver": "uvcvideo"})


@pytest.mark.parametrize(("name", "near"), [("dor", ["door"]), ("garage", []), ("%3Cb%3E", []), ("door/x", None)])
async def test_an_unknown_device_is_404(world: World, name: str, near: list[str] | None) -> None:
    await world.start(ROUTES)
    answer = await get(world.port, f"/v1/devices/{name}")
    assert is_problem(answer, 404)
    assert near is None or answer.json()["nearest"] == near


async def test_devices_are_for_reading(world: World) -> None:
    await world.start(ROUTES)
    answer = await get(world.port, "/v1/devices", method="POST", body=b"{}")
    assert is_problem(answer, 405)
    assert "GET" in answer.headers["allow"]


async def test_the_status_is_the_control_planes_and_asked_for_once(world: World) -> None:
    await world.start(ROUTES)
    world.control.answer = {"sync": "Synced", "health": "Degraded", "resources": [{"name": "é"}]}
    answers = await asyncio.gather(*(get(world.port, "/v1/status") for _ in range(20)))
    assert [answer.json() for answer in answers] == [world.control.answer] * 20
    assert world.control.asked <= 2


async def test_the_status_is_503_while_the_control_plane_is_away(world: World) -> None:
    await world.start(ROUTES)
    world.control.answer = None
    answer = await get(world.port, "/v1/status")
    assert is_problem(answer, 503)
    assert answer.json()["reason"] == "ControlPlaneDown"
    assert int(answer.headers["retry-after"]) > 0
    world.control.answer = {"sync": "Synced"}
    async with asyncio.timeout(5):
        while (await get(world.port, "/v1/status")).status != 200:
            await asyncio.sleep(0.05)


async def test_it_lives_without_a_hub_and_is_ready_with_one_alone(world: World) -> None:
    await world.start(ROUTES)
    world.control.answer = None
    assert [(await get(world.port, path)).status for path in ("/livez", "/alive", "/readyz")] == [200, 200, 200]
    world.cameras.connected.clear()
    assert [(await get(world.port, path)).status for path in ("/livez", "/alive")] == [200, 200]
    answer = await get(world.port, "/readyz")
    assert is_problem(answer, 503)
    assert answer.json()["checks"] == {"hub": "does not answer"}


async def test_a_fixed_answer_is_what_it_was_fixed_to(world: World) -> None:
    options = {"status": 301, "body": "moved", "headers": {"Location": "/new"}, "content_type": "text/html"}
    await world.start([route("/old", "respond", **options), route("/gone", "respond", status=204, body="no body")])
    answer = await get(world.port, "/old")
    assert (answer.status, answer.headers["location"], answer.body) == (301, "/new", b"moved")
    assert answer.headers["content-type"] == "text/html"
    empty = await get(world.port, "/gone")
    assert (empty.status, empty.body) == (204, b"")


@pytest.mark.parametrize(
    "options",
    [
        {"status": 99},
        {"status": 600},
        {"status": "x"},
        {"headers": {"X-A": "a\r\nX-B: b"}},
        {"headers": {"X A": "b"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"content_type": "text/html\r\nX: y"},
        {"boddy": "x"},
    ],
)
async def test_an_answer_that_cannot_be_sent_is_refused_before(world: World, options: dict[str, object]) -> None:
    with pytest.raises(PermanentError, match=r"routes\[0\] \(/\)"):
        await world.start([route("/", "respond", **options)])

"""`captures`: who is shown what records, and who may turn it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route

ROUTES = [route("/v1/captures/**", "captures", writable=True)]
BASE = "/v1/captures"


def capture(name: str, camera: str, health: str = "Healthy", reason: str = "Running") -> dict[str, Any]:
    facts = {"camera": camera, "progress": 1, "until": 1.5 if health == "Suspended" else None}
    return {"kind": "capture", "name": name, "health": health, "reason": reason, "message": "", "facts": facts}


@pytest.fixture
async def two(world: World) -> World:
    rows = [
        capture("all.door", "door"),
        capture("asked", "yard", "Suspended", "NotAsked"),
        {"kind": "hub", "name": "hub"},
    ]
    world.control.answer = {"resources": rows}
    await world.start(ROUTES)
    return world


async def test_what_records_and_what_does_not(two: World) -> None:
    first, second = (await get(two.port, BASE)).json()["captures"]
    assert (first["name"], first["camera"], first["records"]) == ("all.door", "door", True)
    assert (second["records"], second["reason"], second["until"]) == (False, "NotAsked", 1.5)


async def test_turning_is_the_control_planes(two: World) -> None:
    assert (await get(two.port, f"{BASE}/asked/start", method="POST")).status == 200
    assert (await get(two.port, f"{BASE}/all/stop", method="POST")).status == 200
    assert two.control.posted == [("/v1/captures/asked/start", {}), ("/v1/captures/all/stop", {})]
    two.control.refuses = "NotOnDemand"
    assert (await get(two.port, f"{BASE}/asked/start", method="POST")).status == 409
    two.control.answer = None
    assert (await get(two.port, BASE)).status == 503


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/nothing/start", "POST", 404),
        ("/asked/burn", "POST", 404),
        ("/asked", "GET", 404),
        ("/asked/start", "GET", 405),
        ("", "POST", 405),
    ],
)
async def test_what_there_is_not(two: World, path: str, method: str, status: int) -> None:
    assert (await get(two.port, BASE + path, method=method)).status == status
    assert two.control.posted == []


async def test_another_sites_page_turns_nothing(two: World) -> None:
    answer = await get(two.port, f"{BASE}/asked/start", method="POST", headers="Origin: http://evil.example\r\n")
    assert answer.status == 403
    assert two.control.posted == []


async def test_nobody_turns_where_it_is_not_said(two: World) -> None:
    await two.edit([route("/v1/captures/**", "captures")])
    assert (await get(two.port, f"{BASE}/asked/start", method="POST")).status == 404

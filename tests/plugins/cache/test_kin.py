"""`cache` of several routes: a change by one of them is one for all (RFC 9111, 4.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway import world as gateway
from tests.gateway.client import get
from tests.gateway.world import route
from tests.plugins.cache.origin import FRESH, Make

CACHE: dict[str, Any] = {"type": "cache", "options": {}}
SAID = {"cache-control": "max-age=600"}


async def hits(world: gateway.World, path: str, **more: str) -> list[bool]:
    return ["hit" in (await get(world.port, path, **more)).headers["cache-status"] for _ in range(2)]


@pytest.mark.parametrize("disk", [{}, {"disk": "10MiB"}])
async def test_a_change_by_another_route(world: gateway.World, disk: dict[str, str]) -> None:
    kept = {"type": "cache", "options": disk}
    reads = route("/x/**", "respond", chain=[kept], methods=["GET"], body="old", headers=SAID)
    changes = route(
        "/x/**", "respond", chain=[CACHE], methods=["PUT"], status=200, body="", headers={"location": "/x/2"}
    )
    fails = route("/x/**", "respond", chain=[CACHE], methods=["DELETE"], status=409, body="")
    await world.start([reads, changes, fails])
    for path in ("/x/1", "/x/2", "/x/3"):
        assert await hits(world, path) == [False, True]
    assert (await get(world.port, "/x/1", method="DELETE")).status == 409
    assert await hits(world, "/x/1") == [True, True]
    assert (await get(world.port, "/x/1", method="PUT")).status == 200
    for path, first in (("/x/1", False), ("/x/2", False), ("/x/3", True)):
        assert await hits(world, path) == [first, True]
    # A route that comes later has the same kin.
    later = route("/x/**", "respond", chain=[CACHE], methods=["POST"], status=200, body="")
    await world.edit([reads, changes, later])
    assert (await get(world.port, "/x/3", method="POST")).status == 200
    assert await hits(world, "/x/3") == [False, True]


async def test_a_change_for_a_tenant_is_one_for_it_and_for_what_has_none(make: Make) -> None:
    world = make({**FRESH, "cache-control": "public, max-age=600"})
    for tenant in ("", "acme", "globex"):
        await world.get("/", tenant=tenant)
    await world.get("/", method="POST", tenant="acme")
    kept = {key[0] for key in world.store.keys()}  # noqa: SIM118 - no dictionary
    assert kept == {"globex"}


async def test_another_gateway_is_none_of_its_business(make: Make) -> None:
    one, other = make(FRESH), make(FRESH)
    for world in (one, other):
        await world.get("/")
    await one.get("/", method="POST")
    assert (await other.get("/")).hit

"""`docs`: of the routes in force, whatever they describe. The document itself: tests/integration/test_openapi.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.gateway.client import get
from tests.gateway.stage import Stage
from tests.gateway.world import World, route

DOCS = route("/docs/**", "docs")


async def test_it_is_of_the_routes_in_force(world: World) -> None:
    await world.start([DOCS, route("/readyz", "health")])
    assert "/readyz" in (await get(world.port, "/docs/openapi.json")).json()["paths"]
    await world.start([DOCS, route("/v1/devices/**", "devices")])
    paths = (await get(world.port, "/docs/openapi.json")).json()["paths"]
    assert "/readyz" not in paths
    assert paths["/v1/devices/{name}/controls"].keys() == {"get"}


async def test_a_type_that_describes_itself_badly_harms_nothing_else(stage: Stage) -> None:
    def badly(options: Any) -> Any:
        raise RuntimeError("no idea")

    catalogue = stage.catalogue()
    handlers = {**catalogue.handlers, "echo": replace(catalogue.handlers["echo"], describe=badly)}
    world = World(replace(catalogue, handlers=handlers))
    try:
        await world.start([DOCS, route("/echo", "echo")])
        assert (await get(world.port, "/echo")).status == 200
        assert (await get(world.port, "/docs/openapi.json")).status == 500
    finally:
        await world.close()

"""`docs`: of the routes in force, whatever they describe. The document itself: tests/integration/test_openapi.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.gateway.client import Client, get
from tests.gateway.stage import Stage
from tests.gateway.world import BOTH, World, route

DOCS = route("/docs/**", "docs")


async def test_it_is_of_the_routes_in_force(world: World) -> None:
    await world.start([DOCS, route("/readyz", "health")])
    assert "/readyz" in (await get(world.port, "/docs/openapi.json")).json()["paths"]
    await world.start([DOCS, route("/v1/devices/**", "devices")])
    paths = (await get(world.port, "/docs/openapi.json")).json()["paths"]
    assert "/readyz" not in paths
    assert paths["/v1/devices/{name}/controls"].keys() == {"get"}


async def test_no_tenant_sees_the_routes_of_others(world: World) -> None:
    directory = {"type": "static", "base_dir": "/tmp", "options": {"tenants": {"acme": {"members": ["ann"]}}}}
    tenant = {"type": "tenant", "options": {"from": [{"header": "X-Tenant"}], "members_only": False}}
    routes = [route("/docs/**", "docs", chain=[tenant]), route("/globex/readyz", "health")]
    await world.start([{**it, "tenants": {"directory": directory}} for it in routes])
    for path in ("/docs", "/docs/openapi.json"):
        answer = await get(world.port, path, headers="X-Tenant: acme\r\n")
        assert (answer.status, answer.json()["reason"]) == (403, "NotAllowed")
        assert b"globex" not in answer.body
    assert (await get(world.port, "/docs/none", headers="X-Tenant: acme\r\n")).status == 404


async def test_who_may_do_everything_sees_all_routes(world: World) -> None:
    for allow, status in (({"anyone": True}, 200), ({"anyone": True, "devices": ["door"]}, 403)):
        link = {"type": "authorize", "options": {"allow": [allow]}}
        await world.start([route("/docs/**", "docs", chain=[link])])
        assert (await get(world.port, "/docs/openapi.json")).status == status, allow


@pytest.mark.parametrize("server", BOTH)
async def test_it_has_what_the_gateway_itself_refuses(world: World) -> None:
    await world.start([DOCS, route("/readyz", "health")])
    responses = (await get(world.port, "/docs/openapi.json")).json()["paths"]["/readyz"]["get"]["responses"]
    host = b"Host: x\r\n"
    for status, head in (
        (400, b"GET /readyz HTTP/1.1\r\n"),
        (405, b"PUT /readyz HTTP/1.1\r\n" + host),
        (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + host),
        (431, b"GET /readyz HTTP/1.1\r\n" + host + b"X: " + b"a" * 40_000 + b"\r\n"),
        (501, b"POST /readyz HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" + host),
        (505, b"GET /readyz HTTP/3.7\r\n" + host),
    ):
        async with await Client.connect(world.port) as client:
            client.send(head + b"\r\n")
            answer = await client.answer()
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status == status
        assert str(status) in responses
    assert {"408", "413", "500", "503"} <= responses.keys()


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

"""`metrics`: the middleware counts, the handler shows, Prometheus' own parser reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.client import Client, get
from tests.gateway.stage import Stage
from tests.gateway.world import World, route, until
from vidops.api import TENANT, ASGIApp, GatewayContext, MiddlewareType, Options, Receive, Scope, Send, Tenant

COUNT = {"type": "metrics", "options": {}}


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of its labels."""
    return {
        (s.name, *s.labels.values()): s.value for family in text_string_to_metric_families(text) for s in family.samples
    }


async def shown(world: World, path: str = "/metrics") -> dict[tuple[str, ...], float]:
    answer = await get(world.port, path)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return samples(answer.body.decode())


async def test_requests_are_counted_by_route_method_and_status(world: World) -> None:
    await world.start(
        [route("/echo/**", "echo", chain=[COUNT]), route("/bad", "fail", chain=[COUNT]), route("/metrics", "metrics")]
    )
    async with await Client.connect(world.port) as client:
        for _ in range(3):
            await client.get("/echo/some/path?secret=1")
        await client.get("/echo/x", method="POST", body=b"abc")
        await client.get("/echo/x", method="INVENTED")
        await client.get("/bad")
    found = await shown(world)
    assert found["vidops_http_requests_total", "GET", "/echo/**", "200"] == 3
    assert found["vidops_http_requests_total", "POST", "/echo/**", "200"] == 1
    assert found["vidops_http_requests_total", "OTHER", "/echo/**", "200"] == 1
    assert found["vidops_http_requests_total", "GET", "/bad", "500"] == 1
    assert found["vidops_http_request_duration_seconds_count", "/echo/**"] == 5
    assert found["vidops_http_response_bytes_total", "/echo/**"] > 300
    assert found["vidops_http_requests_running", "/echo/**"] == 0
    assert not [name for name in found if "secret" in str(name) or "some" in str(name)]
    assert found[("process_resident_memory_bytes",)] > 1e6


async def test_counts_outlive_an_edit(world: World) -> None:
    await world.start([route("/", "echo", chain=[COUNT]), route("/metrics", "metrics")])
    await get(world.port, "/")
    await world.edit([route("/", "echo", chain=[COUNT, "request_id"]), route("/metrics", "metrics")])
    await get(world.port, "/")
    assert (await shown(world))["vidops_http_requests_total", "GET", "/", "200"] == 2


async def test_a_stream_is_no_long_request(world: World) -> None:
    await world.start([route("/stream/**", "stream", chain=[COUNT]), route("/metrics", "metrics")])
    async with await Client.connect(world.port) as client:
        client.send(b"GET /stream/door HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: world.cameras.subscriptions, "it waits for a frame")
        world.cameras.feed("door")
        await client.head()
        assert (await shown(world))["vidops_http_requests_running", "/stream/**"] == 1
    await until(lambda: not world.cameras.subscriptions, "the viewer is gone")
    async with await Client.connect(world.port) as client:
        deadline = time.monotonic() + 10
        while ("vidops_http_requests_total", "GET", "/stream/**", "200") not in (found := await shown(world)):
            assert time.monotonic() < deadline
    assert found["vidops_http_response_bytes_total", "/stream/**"] > 5000
    assert found.get(("vidops_http_request_duration_seconds_count", "/stream/**"), 0) == 0


async def test_cameras_and_resources(world: World) -> None:
    world.cameras.known["door"] |= {"captured_fps": 29.9, "viewers": 2, "frames": 1000, "drops": 3}
    world.control.answer = {"resources": [{"kind": "capture", "name": "door", "health": "Degraded", "sync": "Synced"}]}
    await world.start([route("/metrics", "metrics")])
    found = await shown(world)
    assert found["vidops_camera_online", "door"] == 1
    assert found["vidops_camera_frames_per_second", "door"] == 29.9
    assert found["vidops_camera_frames_total", "door"] == 1000
    assert found["vidops_camera_drops_total", "door"] == 3
    assert found["vidops_resource_healthy", "capture", "door"] == 0
    assert found["vidops_resource_synced", "capture", "door"] == 1
    assert found[("vidops_control_plane_up",)] == 1
    world.control.answer = None
    found = await shown(world)
    assert found[("vidops_control_plane_up",)] == 0
    assert found["vidops_camera_online", "yard"] == 1


class Nothing(Options):
    pass


def north(options: Nothing, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    def wrap(app: ASGIApp) -> ASGIApp:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, TENANT: Tenant("north", devices=("door",))}, receive, send)

        return wrapped

    return wrap


@pytest.fixture
async def world(stage: Stage) -> Any:
    found = stage.catalogue()
    middleware = {**found.middleware, "north": MiddlewareType("north", Nothing, north)}
    it = World(replace(found, middleware=middleware))
    yield it
    await it.close()


async def test_a_tenant_sees_its_cameras_and_nothing_of_others(world: World) -> None:
    await world.start([route("/secret", "echo", chain=[COUNT]), route("/metrics", "metrics", chain=["north"])])
    await get(world.port, "/secret")
    found = await shown(world)
    assert found["vidops_camera_online", "door"] == 1
    assert {name[0].split("_")[1] for name in found} == {"camera"}
    assert not [name for name in found if "yard" in name or "/secret" in name]

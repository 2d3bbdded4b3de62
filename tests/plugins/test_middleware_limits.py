"""`limits`: larger bodies and more requests at a time are refused, whatever they announce."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.gateway.client import Client, Viewer, get
from tests.gateway.stage import Stage
from tests.gateway.world import BOTH, World, route, until
from vidops.api import ASGIApp, GatewayContext, HandlerType, Options, Receive, Scope, Send
from vidops.runtime.plugins import load_catalogue

SERVERS = BOTH


def link(**options: object) -> dict[str, object]:
    return {"type": "limits", "options": options}


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1024, 200), (1025, 413), (200_000, 413)])
async def test_a_body_that_is_announced_as_too_large_is_refused(world: World, size: int, status: int) -> None:
    await world.start([route("/", "echo", chain=[link(max_body="1KiB")])])
    assert (await get(world.port, "/", method="POST", body=b"x" * size)).status == status


@pytest.mark.parametrize(("size", "status"), [(1024, 200), (1025, 413)])
async def test_a_body_without_a_length_is_counted(world: World, size: int, status: int) -> None:
    await world.start([route("/", "echo", chain=[link(max_body="1KiB")])])
    async with await Client.connect(world.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
        assert (await client.answer()).status == status


async def test_it_may_allow_more_than_a_gateway_does_by_itself(world: World) -> None:
    await world.start([route("/more", "echo", chain=[link(max_body="20MiB")]), route("/usual", "echo")])
    body = b"x" * (17 * 1024 * 1024)
    assert (await get(world.port, "/more", method="POST", body=body)).json()["length"] == len(body)
    assert (await get(world.port, "/usual", method="POST", body=b"x", headers="")).status == 200
    async with await Client.connect(world.port) as client:
        client.send(b"POST /usual HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert (await client.answer()).status == 413


async def test_requests_at_a_time_are_counted_by_route_and_freed_at_their_end(world: World, stage: Stage) -> None:
    await world.start(
        [route("/held", "hold", chain=[link(max_concurrent=2)], name="it"), route("/other", "respond", chain=[link()])]
    )
    asking = [asyncio.create_task(get(world.port, "/held")) for _ in range(2)]
    await until(lambda: stage.events.count("asked it") == 2, "two requests that run")
    refused = await get(world.port, "/held")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await get(world.port, "/other")).status == 200
    stage.gate("it").set()
    assert [answer.status for answer in await asyncio.gather(*asking)] == [200, 200]
    assert (await get(world.port, "/held")).status == 200


async def test_clients_that_leave_and_errors_free_their_places(world: World, stage: Stage) -> None:
    await world.start(
        [
            route("/held", "hold", chain=[link(max_concurrent=1)], name="it"),
            route("/fail", "fail", chain=[link(max_concurrent=1)]),
        ]
    )
    async with await Client.connect(world.port) as client:
        client.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: "asked it" in stage.events, "the request")
    await until(lambda: "cancelled it" in stage.events, "its end")
    stage.gate("it").set()
    assert (await get(world.port, "/held")).status == 200
    assert [(await get(world.port, "/fail")).status for _ in range(3)] == [500, 500, 500]


async def test_an_open_stream_takes_a_place(world: World) -> None:
    await world.start([route("/stream/**", "stream", chain=[link(max_concurrent=1)])])
    async with await Viewer.connect(world.port) as viewer:
        opening = asyncio.ensure_future(viewer.watch("/stream/door"))
        while not opening.done():
            world.cameras.feed("door")
            await asyncio.sleep(0.01)
        assert (await get(world.port, "/stream/yard")).status == 503
    await until(lambda: not world.cameras.subscriptions, "the stream's end")
    world.cameras.known["yard"] |= {"state": "Failed", "reason": "Gone", "message": "gone"}
    assert (await get(world.port, "/stream/yard")).json()["reason"] == "Gone"


async def test_a_header_may_be_only_so_large(world: World) -> None:
    await world.start([route("/", "respond", chain=[{"type": "limits", "options": {"max_headers": "200B"}}])])
    assert (await get(world.port, "/")).status == 200
    assert (await get(world.port, "/", headers=f"x-long: {'a' * 200}\r\n")).status == 431


async def test_an_answer_has_to_begin_in_time(world: World, stage: Stage) -> None:
    link = {"type": "limits", "options": {"answer_time": "100ms"}}
    await world.start([route("/", "hold", name="late", chain=[link]), route("/stream/**", "stream", chain=[link])])
    answer = await get(world.port, "/")
    assert (answer.status, answer.json()["reason"]) == (503, "TooSlow")
    assert "cancelled late" in stage.events
    # One that has begun may go on for as long as it likes.
    async with await Viewer.connect(world.port) as viewer:
        watching = asyncio.ensure_future(viewer.watch("/stream/door"))
        await until(lambda: world.cameras.subscriptions, "it is subscribed")
        world.cameras.feed("door")
        assert (await watching).status == 200
        await viewer.part()
        await asyncio.sleep(0.3)
        world.cameras.feed("door")
        await viewer.part()


async def test_a_body_has_its_time(world: World) -> None:
    link = {"type": "limits", "options": {"body_time": "200ms"}}
    await world.start([route("/", "echo", chain=[link])])
    async with await Client.connect(world.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1")
        assert (await client.answer()).status == 408


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("order", [("10B", "1MiB"), ("1MiB", "10B")])
async def test_of_several_limits_the_smallest_counts(world: World, order: tuple[str, str], framing: str) -> None:
    await world.start([route("/", "echo", chain=[link(max_body=one) for one in order])])
    body = bytes(1000) if framing.startswith("Content") else b"3e8\r\n" + bytes(1000) + b"\r\n0\r\n\r\n"
    async with await Client.connect(world.port) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode() + body)
        assert (await client.answer()).status == 413


async def test_an_edit_of_the_route_frees_no_place(world: World, stage: Stage) -> None:
    await world.start([route("/", "hold", chain=[link(max_concurrent=1)], name="it")], drain_timeout=5.0)
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: "asked it" in stage.events, "the request")
        await world.edit([route("/", "hold", chain=[link(max_concurrent=1)], name="other")], drain_timeout=5.0)
        assert (await get(world.port, "/")).status == 503
        stage.gate("it").set()
        assert (await client.answer()).status == 200
    stage.gate("other").set()
    assert (await get(world.port, "/")).status == 200


class Impatient(Options):
    pass


async def test_an_application_s_own_timeout_is_its_own(server: str) -> None:
    def build(options: Impatient, context: GatewayContext) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise TimeoutError("of its own")

        return app

    known = load_catalogue()
    handlers = {**known.handlers, "impatient": HandlerType("impatient", Impatient, build)}
    world = World(replace(known, handlers=handlers), server)
    try:
        await world.start([route("/", "impatient", chain=[link(answer_time="60s")])])
        assert (await get(world.port, "/")).status == 500
    finally:
        await world.close()

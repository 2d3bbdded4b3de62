"""What a gateway answers: routes in order, methods, errors, bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.gateway.client import Client, get
from tests.gateway.stage import Stage, mark
from tests.gateway.world import BOTH, World, route
from vidops.gateway.reply import Reply

SERVERS = BOTH


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def world(stage: Stage, server: str) -> AsyncIterator[World]:
    it = World(stage.catalogue(), server)
    yield it
    await it.close()


async def test_the_first_route_in_the_files_order_answers(world: World) -> None:
    await world.start(
        [
            route("/a/b", "echo", name="exact"),
            route("/a/*", "echo", name="one"),
            route("/a/**", "echo", name="all"),
            route("/a/c", "echo", name="never"),
        ]
    )
    seen = {path: (await get(world.port, path)).json()["name"] for path in ("/a/b", "/a/c", "/a/c/d", "/a", "/a/")}
    assert seen == {"/a/b": "exact", "/a/c": "one", "/a/c/d": "all", "/a": "all", "/a/": "all"}


async def test_a_handler_gets_the_decoded_rest_of_its_path(world: World) -> None:
    await world.start([route("/x/**", "echo")])
    answer = (await get(world.port, "/x/a%20b/%C3%A9?q=%2F")).json()
    assert (answer["path"], answer["rest"], answer["query"]) == ("/x/a b/é", "a b/é", "q=%2F")


async def test_404_and_405_are_problem_documents(world: World) -> None:
    await world.start([route("/a", "echo", methods=["GET"]), route("/a", "echo", methods=["POST"])])
    unknown = await get(world.port, "/b")
    assert (unknown.status, unknown.headers["content-type"]) == (404, "application/problem+json")
    wrong = await get(world.port, "/a", method="DELETE")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, POST")
    assert wrong.json()["status"] == 405


async def test_head_is_get_without_a_body(world: World) -> None:
    await world.start([route("/a", "respond", body="hello", methods=["GET"])])
    async with await Client.connect(world.port) as client:
        head = await client.get("/a", method="HEAD")
        assert (head.status, head.headers["content-length"], head.body) == (200, "5", b"")
        assert (await client.get("/a")).body == b"hello"


async def test_a_chain_runs_from_the_outermost_in(world: World, stage: Stage) -> None:
    await world.start([route("/", "respond", chain=[mark("outer"), mark("inner")])])
    stage.events.clear()
    await get(world.port, "/")
    assert stage.events == ["> outer", "> inner", "< inner", "< outer"]


async def test_an_unhandled_error_tells_the_client_an_id_and_the_log_the_rest(world: World) -> None:
    await world.start([route("/", "fail")])
    answer = await get(world.port, "/")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert b"4711" not in answer.body
    assert b"Traceback" not in answer.body
    (record,) = [r for r in world.log if r["event"] == "request_failed"]
    assert record["error_id"] == answer.json()["error_id"]
    assert "4711" in record["traceback"]


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(world: World) -> None:
    await world.start([route("/", "late")])
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await client.closed()
    assert b"content-length: 10" in answer.lower()
    assert answer.endswith(b"\r\n\r\n12345")


async def test_nothing_tells_what_serves(world: World) -> None:
    await world.start([route("/", "respond")])
    assert "server" not in (await get(world.port, "/")).headers
    async with await Client.connect(world.port) as client:
        client.send(b"nonsense\r\n\r\n")
        refused = await client.answer()
    assert refused.status == 400
    assert "server" not in refused.headers


async def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    await world.start([route("/**", "echo")])
    async with await Client.connect(world.port) as client:
        for n in range(5):
            client.send(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n)
        client.send(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await client.closed()
    positions = [answer.index(f'"path":"/{n}"'.encode()) for n in (0, 1, 2, 3, 4, "last")]
    assert positions == sorted(positions)


@pytest.mark.parametrize("size", [1, 70_000, 1_000_000])
async def test_bodies_arrive_whole(world: World, size: int) -> None:
    await world.start([route("/", "echo")])
    assert (await get(world.port, "/", method="POST", body=b"x" * size)).json()["length"] == size


async def test_an_early_answer_to_a_long_upload_can_be_read(world: World) -> None:
    """The answer comes while the client still sends: it must not be lost in a reset."""
    await world.start([route("/", "respond", status=403, body="no")])
    answer = await get(world.port, "/", method="POST", body=b"x" * 200_000)
    assert (answer.status, answer.body) == (403, b"no")


@pytest.mark.parametrize(("status", "kept"), [(200, True), (204, False), (304, True)])
async def test_no_content_has_no_length(status: int, *, kept: bool) -> None:
    """Whoever says there is one, such as an upstream."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    reply = Reply({"type": "http", "http_version": "1.1", "headers": []}, send, None)
    await reply({"type": "http.response.start", "status": status, "headers": [(b"Content-Length", b"0")]})
    assert ((b"Content-Length", b"0") in sent[0]["headers"]) is kept

"""`request_id`: every request has a name, and nobody else chooses it unless they may."""

from __future__ import annotations

import re

import pytest

from tests.gateway.client import get
from tests.gateway.world import World, route


def link(**options: object) -> dict[str, object]:
    return {"type": "request_id", "options": options}


async def test_each_request_has_its_own_for_the_handler_and_the_client(world: World) -> None:
    await world.start([route("/", "echo", chain=[link()])])
    answers = [await get(world.port, "/") for _ in range(2)]
    names = [answer.headers["x-request-id"] for answer in answers]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in names)
    assert [["x-request-id", name] in answer.json()["headers"] for name, answer in zip(names, answers, strict=True)]


async def test_a_clients_own_is_replaced_unless_it_is_trusted(world: World) -> None:
    await world.start([route("/a", "echo", chain=[link()]), route("/b", "echo", chain=[link(trust=True)])])
    brought = "X-Request-ID: proxy-17\r\n"
    assert (await get(world.port, "/a", headers=brought)).headers["x-request-id"] != "proxy-17"
    answer = await get(world.port, "/b", headers=brought)
    assert answer.headers["x-request-id"] == "proxy-17"
    assert answer.json()["headers"].count(["x-request-id", "proxy-17"]) == 1


@pytest.mark.parametrize("brought", ["a b", "x" * 129, '"', "{}", ""])
async def test_what_could_confuse_a_log_is_replaced_even_from_whom_it_trusts(world: World, brought: str) -> None:
    await world.start([route("/", "respond", chain=[link(trust=True)])])
    answer = await get(world.port, "/", headers=f"X-Request-ID: {brought}\r\n")
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_of_two_none_is_kept(world: World) -> None:
    await world.start([route("/", "echo", chain=[link(trust=True)])])
    answer = await get(world.port, "/", headers="X-Request-ID: a\r\nX-Request-ID: b\r\n")
    assert answer.headers["x-request-id"] not in ("a", "b")
    assert sum(name == "x-request-id" for name, _ in answer.json()["headers"]) == 1


async def test_the_access_log_has_it_whichever_comes_first(world: World) -> None:
    await world.start(
        [
            route("/a", "respond", chain=[link(), "access_log"]),
            route("/b", "respond", chain=["access_log", link()]),
        ]
    )
    for path in ("/a", "/b"):
        answer = await get(world.port, path)
        (line,) = [r for r in world.log if r.get("event") == "request" and r["path"] == path]
        assert line.get("request_id") == answer.headers["x-request-id"], path

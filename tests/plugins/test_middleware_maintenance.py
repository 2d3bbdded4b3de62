"""`maintenance`: a notice in the place of a route, for as long as it is in the chain."""

from __future__ import annotations

import asyncio

from tests.gateway.client import Viewer, get
from tests.gateway.world import World, route

NOTICE = {"type": "maintenance", "options": {"message": "back at noon", "retry_after": "90s"}}


async def test_it_answers_in_the_place_of_everything_behind_it(world: World) -> None:
    await world.start([route("/a", "fail", chain=[NOTICE]), route("/b", "respond", body="b")])
    answer = await get(world.port, "/a")
    assert (answer.status, answer.headers["retry-after"]) == (503, "90")
    assert answer.json()["detail"] == "back at noon"
    assert (await get(world.port, "/b")).body == b"b"


async def test_an_edit_that_adds_it_ends_streams_and_one_that_takes_it_away_restores(world: World) -> None:
    plain = [route("/stream/**", "stream")]
    await world.start(plain)
    async with await Viewer.connect(world.port) as viewer:
        opening = asyncio.ensure_future(viewer.watch("/stream/door"))
        while not opening.done():
            world.cameras.feed("door")
            await asyncio.sleep(0.01)
        await world.edit([route("/stream/**", "stream", chain=[NOTICE])])
        assert await viewer.ended()
    assert (await get(world.port, "/stream/door")).status == 503
    await world.edit(plain)
    assert (await get(world.port, "/stream/unknown")).status == 404

"""`cache` in a real gateway: before compression and a handler, beside streams."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

from tests.gateway.client import Viewer, get
from tests.gateway.world import World, route, until

CACHE = {"type": "cache", "options": {"ttl": "1h"}}


async def test_an_answer_is_used_again(world: World) -> None:
    await world.start([route("/a/**", "respond", chain=[CACHE], body="hello", headers={"cache-control": "max-age=60"})])
    first = await get(world.port, "/a/1")
    again = await get(world.port, "/a/1")
    assert (first.body, again.body) == (b"hello", b"hello")
    assert "fwd=uri-miss" in first.headers["cache-status"]
    assert "hit" in again.headers["cache-status"]
    head = await get(world.port, "/a/1", method="HEAD")
    assert (head.headers["content-length"], head.body) == ("5", b"")


async def test_what_is_compressed_is_kept_compressed(world: World, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"<p>words</p>" * 500)
    chain = [CACHE, {"type": "compress", "options": {}}]
    await world.start([route("/**", "static", chain=chain, root=str(tmp_path))])
    # Such a file is to be asked for each time, and has not changed.
    for expected in ("fwd=uri-miss", "fwd-status=304"):
        answer = await get(world.port, "/page.html", headers="Accept-Encoding: gzip\r\n")
        assert expected in answer.headers["cache-status"]
        assert gzip.decompress(answer.body) == b"<p>words</p>" * 500
    plain = await get(world.port, "/page.html")
    assert "fwd=uri-miss" in plain.headers["cache-status"]
    assert plain.body == b"<p>words</p>" * 500


async def test_a_stream_is_none_of_its_business(world: World) -> None:
    await world.start([route("/stream/**", "stream", chain=[CACHE])])
    viewers = []
    for _ in range(2):
        viewer = await Viewer.connect(world.port)
        viewers.append(viewer)
        watching = asyncio.ensure_future(viewer.watch("/stream/door"))
        await until(lambda: world.cameras.subscriptions, "it is subscribed")
        while not watching.done():
            world.cameras.feed("door")
            await asyncio.sleep(0.01)
        assert (await watching).status == 200
    for viewer in viewers:
        world.cameras.feed("door")
        await viewer.part()
        viewer.close()

"""Streams as viewers see them, over the transport (plain HTTP/1.1) and through ASGI (TLS) by the same tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.client import Viewer, get
from tests.gateway.world import BOTH, JPEG, World, route, until

SERVERS = BOTH

ROUTES = [route("/stream/**", "stream"), route("/snapshot/**", "snapshot"), route("/hi", "respond", body="hi")]


class Served:
    """A gateway, with or without TLS."""

    def __init__(self, world: World, tls: ssl.SSLContext | None) -> None:
        self.world, self.tls = world, tls
        self.viewers: list[Viewer] = []

    async def viewer(self, path: str, headers: str = "") -> Viewer:
        viewer = await Viewer.connect(self.world.port, self.tls)
        self.viewers.append(viewer)
        await viewer.watch(path, headers)
        return viewer

    async def watching(self, camera: str = "door") -> Viewer:
        """A viewer that has its first frame."""
        opening = asyncio.ensure_future(self.viewer(f"/stream/{camera}"))
        await until(lambda: self.world.cameras.subscriptions, "a subscription")
        while not opening.done():
            self.world.cameras.feed(camera)
            await asyncio.sleep(0.01)
        viewer = await opening
        await viewer.part()
        return viewer


@pytest.fixture(params=["plain", "tls"])
async def served(request: pytest.FixtureRequest, world: World, certificate: tuple[Path, Path]) -> AsyncIterator[Served]:
    cert, key = certificate
    if request.param == "tls":
        await world.start(ROUTES, tls={"certfile": str(cert), "keyfile": {"file": str(key)}})
        context = ssl.create_default_context(cafile=str(cert))
        context.check_hostname = False
        it = Served(world, context)
    else:
        await world.start(ROUTES)
        it = Served(world, None)
    yield it
    for viewer in it.viewers:
        viewer.close()


async def test_a_viewer_gets_every_frame_it_is_quick_enough_for(served: Served) -> None:
    viewer = await served.watching()
    assert viewer.start.headers["content-type"] == "multipart/x-mixed-replace; boundary=vidops"
    assert "no-store" in viewer.start.headers["cache-control"]
    for _ in range(5):
        frame = served.world.cameras.feed("door")
        headers, body = await viewer.part()
        while int(headers["x-sequence"]) < frame.sequence:
            headers, body = await viewer.part()
        assert body == JPEG
        assert headers["content-type"] == "image/jpeg"
        assert int(headers["x-sequence"]) == frame.sequence
        assert float(headers["x-timestamp"]) == pytest.approx(frame.timestamp, abs=1e-5)


async def test_viewers_share_one_subscription_which_ends_with_the_last(served: Served) -> None:
    first, second = await served.watching(), await served.watching()
    cameras = served.world.cameras
    assert len(cameras.subscriptions) == 1
    assert cameras.subscriptions[0].viewers == 2
    first.close()
    await until(lambda: cameras.subscriptions[0].viewers == 1, "one viewer left")
    second.close()
    await until(lambda: not cameras.subscriptions, "no subscription left")
    await until(lambda: served.world.gateway.status()["streams"] == 0, "no stream left")


async def test_a_slow_reader_holds_up_nobody_and_skips_to_the_newest(served: Served) -> None:
    slow, quick = await served.watching(), await served.watching()
    big = b"\xff\xd8" + bytes(400_000) + b"\xff\xd9"
    last = 0
    for _ in range(60):
        last = served.world.cameras.feed("door", big).sequence
        while int((await quick.part())[0]["x-sequence"]) < last:
            pass
    seen = []
    newest = asyncio.ensure_future(_until_sequence(slow, last, seen))
    while not newest.done():
        served.world.cameras.feed("door", JPEG)
        await asyncio.sleep(0.02)
    await newest
    assert len(seen) < 60, "it was sent frames that were old when it had room for them"


async def _until_sequence(viewer: Viewer, sequence: int, seen: list[int]) -> None:
    while not seen or seen[-1] < sequence:
        seen.append(int((await viewer.part())[0]["x-sequence"]))


async def test_a_camera_that_fails_says_so_at_once(served: Served) -> None:
    served.world.cameras.say("door", state="Failed", reason="CrashLoop", message="Device or resource busy")
    viewer = await served.viewer("/stream/door")
    assert viewer.start.status == 503
    assert viewer.start.headers["content-type"] == "application/problem+json"
    assert b"Device or resource busy" in await viewer.reader.read(4096)
    await until(lambda: not served.world.cameras.subscriptions, "no subscription left")


async def test_a_camera_that_fails_later_keeps_its_viewers(served: Served) -> None:
    viewer = await served.watching()
    served.world.cameras.say("door", state="Failed", reason="Exited", message="ended")
    served.world.cameras.say("door", state="Online")
    frame = served.world.cameras.feed("door")
    headers, _ = await viewer.part()
    while int(headers["x-sequence"]) < frame.sequence:
        headers, _ = await viewer.part()


async def test_a_removed_camera_ends_its_streams_and_no_other(served: Served) -> None:
    door, yard = await served.watching("door"), await served.watching("yard")
    served.world.cameras.remove("door")
    assert await door.ended()
    served.world.cameras.feed("yard")
    await yard.part()


async def test_a_viewer_that_leaves_before_the_first_frame_leaves_nothing_behind(served: Served) -> None:
    viewer = await Viewer.connect(served.world.port, served.tls)
    viewer.send(b"GET /stream/door HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: served.world.cameras.subscriptions, "a subscription")
    viewer.close()
    await until(lambda: not served.world.cameras.subscriptions, "no subscription left")


async def test_an_unknown_camera_is_404_with_what_may_have_been_meant(world: World) -> None:
    await world.start(ROUTES)
    answer = await get(world.port, "/stream/dor")
    assert answer.status == 404
    assert answer.json()["nearest"] == ["door"]
    assert "did you mean door" in answer.json()["detail"]
    assert (await get(world.port, "/stream/")).status == 404


async def test_an_unknown_camera_is_503_while_the_hub_has_said_nothing(world: World) -> None:
    await world.start(ROUTES)
    world.cameras.connected.clear()
    answer = await get(world.port, "/stream/garage")
    assert (answer.status, answer.json()["reason"]) == (503, "HubDown")


@pytest.mark.parametrize("path", ["/stream/door", "/snapshot/door", "/stream/door?action=snapshot"])
async def test_head_opens_no_camera(world: World, path: str) -> None:
    await world.start(ROUTES)
    answer = await get(world.port, path, method="HEAD")
    assert answer.status == 200
    assert world.cameras.subscriptions == []


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_other_methods_are_told_which_there_are(world: World, method: str) -> None:
    await world.start(ROUTES)
    answer = await get(world.port, "/stream/door", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/snapshot/door", "/stream/door?action=snapshot"])
async def test_a_snapshot_is_captured_after_it_was_asked_for(world: World, path: str) -> None:
    await world.start(ROUTES)
    before = world.cameras.feed("door")
    asking = asyncio.ensure_future(get(world.port, path))
    while not asking.done():
        world.cameras.feed("door")
        await asyncio.sleep(0.01)
    answer = await asking
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, JPEG, "image/jpeg")
    assert answer.headers["cache-control"] == "no-store"
    assert float(answer.headers["x-timestamp"]) > before.timestamp
    assert int(answer.headers["x-sequence"]) > before.sequence


async def test_a_snapshot_of_a_failed_camera_is_503_with_the_reason(world: World) -> None:
    await world.start(ROUTES)
    world.cameras.say("door", state="Failed", reason="CrashLoop", message="No such device")
    answer = await get(world.port, "/snapshot/door")
    assert (answer.status, answer.json()["reason"], answer.json()["detail"]) == (503, "CrashLoop", "No such device")


async def test_the_well_known_addresses_of_other_streamers_work(world: World) -> None:
    await world.start([route("/", "stream", camera="door")])
    async with await Viewer.connect(world.port) as viewer:
        opening = asyncio.ensure_future(viewer.watch("/?action=stream"))
        while not opening.done():
            world.cameras.feed("door")
            await asyncio.sleep(0.01)
        assert (await viewer.part())[1] == JPEG


async def test_the_head_of_a_stream_has_what_the_chain_adds(world: World) -> None:
    await world.start([route("/stream/**", "stream", chain=["request_id", "security_headers", "access_log"])])
    async with await Viewer.connect(world.port) as viewer:
        opening = asyncio.ensure_future(viewer.watch("/stream/door"))
        while not opening.done():
            world.cameras.feed("door")
            await asyncio.sleep(0.01)
        start = await opening
        assert start.headers["x-content-type-options"] == "nosniff"
        assert len(start.headers["x-request-id"]) == 32
        assert start.headers["connection"] == "close"
        await viewer.part()
    await until(lambda: any(r.get("event") == "request" for r in world.log), "a line in the access log")
    line = next(r for r in world.log if r.get("event") == "request")
    assert line["status"] == 200
    assert line["bytes"] >= len(JPEG)
    assert line["request_id"] == start.headers["x-request-id"]

"""A new generation: what did not change is not touched, and what cannot be served changes nothing."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import Client, Viewer, get
from tests.gateway.plugins import Probe
from tests.gateway.world import BOTH, World, route, until
from vidops.errors import PermanentError

SERVERS = BOTH

STREAM = route("/stream/**", "stream")


async def watching(world: World, path: str) -> Viewer:
    viewer = await Viewer.connect(world.port)
    opening = asyncio.ensure_future(viewer.watch(path))
    camera = path.rpartition("/")[2]
    while not opening.done():
        world.cameras.feed(camera)
        await asyncio.sleep(0.01)
    assert (await opening).status == 200
    return viewer


async def alive(world: World, viewer: Viewer, camera: str = "door") -> bool:
    """Whether a frame that is fed now arrives."""
    sequence = world.cameras.feed(camera).sequence
    while int((await viewer.part(5.0))[0]["x-sequence"]) < sequence:
        pass
    return True


async def test_a_route_that_did_not_change_is_the_same_one(world: World, probe: Probe) -> None:
    counting = route("/a", "counting", text="a")
    assert await world.start([counting]) == 1
    assert (await get(world.port, "/a")).body == b"a1"
    assert await world.edit([route("/b", "respond"), counting]) == 2
    assert (await get(world.port, "/a")).body == b"a2", "it was built again"
    assert (await get(world.port, "/b")).status == 200
    await world.edit([route("/a", "counting", text="x")])
    assert (await get(world.port, "/a")).body == b"x1"
    assert (await get(world.port, "/b")).status == 404
    await until(lambda: probe.stopped == ["a"], "the one that left is stopped, once")
    assert probe.built == 2


async def test_the_same_fingerprint_is_the_same_generation(world: World) -> None:
    routes = [route("/a", "counting", text="a")]
    assert await world.start(routes) == 1
    assert await world.edit(routes) == 1


async def test_order_alone_rebuilds_nothing(world: World, probe: Probe) -> None:
    first, second = route("/a", "counting", text="a"), route("/**", "counting", text="b")
    await world.start([first, second])
    await world.edit([second, first])
    assert (await get(world.port, "/a")).body == b"b1"
    assert probe.built == 2


async def test_a_stream_ends_with_its_own_route_and_with_no_other(world: World) -> None:
    other = route("/other/**", "stream")
    await world.start([STREAM, other, route("/x", "respond")])
    one, two = await watching(world, "/stream/door"), await watching(world, "/other/door")
    await world.edit([STREAM, other])
    assert await alive(world, one)
    assert await alive(world, two)
    await world.edit([STREAM])
    assert await two.ended(2.0)
    assert await alive(world, one)
    await world.edit([route("/stream/**", "stream", chain=["access_log"])])
    assert await one.ended(2.0), "its chain changed"
    one.close()
    two.close()


async def test_a_websocket_ends_with_its_own_route_and_with_no_other(world: World) -> None:
    await world.start([route("/ws", "echo"), route("/x", "respond")])
    async with await Client.connect(world.port) as client:
        key = base64.b64encode(b"0123456789abcdef").decode()
        client.send(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
        )
        assert (await client.head()).status == 101
        await world.edit([route("/ws", "echo")])
        client.send(b"\x81\x82\0\0\0\0hi")
        assert await _message(client) == b"\x81\x02hi"
        assert world.gateway.status()["streams"] == 1
        await world.edit([STREAM])
        assert await _message(client) == b"\x88\x02\x03\xe9"


async def _message(client: Client) -> bytes:
    """The next short frame that is no ping (RFC 6455, 5.5.2)."""
    async with asyncio.timeout(5):
        while (head := await client.reader.readexactly(2)) == b"\x89\x00":
            pass
        return head + await client.reader.readexactly(head[1])


async def test_running_requests_of_a_route_that_leaves_may_end(world: World) -> None:
    await world.start([route("/slow", "slow", seconds=0.4)])
    running = asyncio.ensure_future(get(world.port, "/slow"))
    await until(lambda: world.gateway.status()["requests"] == 1, "the request runs")
    await world.edit([STREAM])
    assert (await running).body == b"late"


async def test_a_request_that_takes_longer_than_the_drain_is_told_so(world: World, probe: Probe) -> None:
    await world.start([route("/slow", "slow", seconds=60)], drain_timeout=0.2)
    running = asyncio.ensure_future(get(world.port, "/slow"))
    await until(lambda: probe.running == 1, "the request runs")
    await world.edit([STREAM], drain_timeout=0.2)
    answer = await running
    assert (answer.status, answer.json()["reason"]) == (503, "Retired")


@pytest.mark.parametrize(
    ("routes", "spec", "said"),
    [
        ([route("/b", "unbuildable")], {}, r"routes\[0\] \(/b\): ValueError: cannot be built"),
        (
            [STREAM, route("/b", "unstartable", text="b")],
            {},
            r"routes\[1\] \(/b\) does not start: OSError: no upstream",
        ),
        ([route("/b", "nothing_like_it")], {}, "no plugin has a handler 'nothing_like_it'"),
        ([route("/b", "respond", chain=["nope"])], {}, "no plugin has a middleware 'nope'"),
        ([route("/b", "respond", status=99)], {}, "(?s)handler 'respond'.*status"),
        ([route("b", "respond")], {}, "does not start with /"),
        ([STREAM], {"bind": ["127.0.0.1"]}, "write host:port"),
        ([STREAM], {"bind": []}, "nothing to listen on"),
        ([STREAM], {"bind": ["192.0.2.1:0"]}, "this host has no such address"),
        ([STREAM], {"surprise": 1}, "surprise"),
        ([STREAM], {"tls": {"certfile": "/nothing", "keyfile": {"file": "/nothing"}}}, "cannot read /nothing"),
    ],
)
async def test_what_cannot_be_served_leaves_everything_as_it_was(
    world: World, probe: Probe, routes: list[Any], spec: dict[str, Any], said: str
) -> None:
    await world.start([STREAM, route("/a", "counting", text="a")])
    viewer = await watching(world, "/stream/door")
    before = {**world.gateway.status(), "rss": 0, "requests": 0}
    with pytest.raises(PermanentError, match=said):
        await world.edit([*routes, route("/fresh", "counting", text="fresh")], **spec)
    assert {**world.gateway.status(), "rss": 0, "requests": 0} == before
    assert (await get(world.port, "/a")).body == b"a1"
    assert await alive(world, viewer)
    assert "a" not in probe.stopped
    viewer.close()


async def test_started_routes_of_a_failed_generation_are_stopped(world: World, probe: Probe) -> None:
    await world.start([STREAM])
    with pytest.raises(PermanentError):
        await world.edit([route("/a", "counting", text="a"), route("/b", "unstartable", text="b")])
    assert sorted(probe.stopped) == ["a", "b"]


@pytest.mark.parametrize("data", ["", "[]", "{", '{"bind": 3}', "[" * 100_000])
async def test_a_file_that_is_none_leaves_everything_as_it_was(world: World, data: str) -> None:
    await world.start([route("/a", "respond", body="a")])
    Path(world.layout.gateway_file("public")).write_text(data)
    with pytest.raises(PermanentError):
        await world.gateway.load()
    assert (await get(world.port, "/a")).body == b"a"


async def test_the_first_of_a_chain_is_the_outermost(world: World) -> None:
    links = [{"type": "mark", "options": {"text": text}} for text in ("one", "two", "three")]
    await world.start([route("/", "marks", chain=links)])
    assert (await get(world.port, "/")).body == b"one,two,three"


async def test_fifty_edits_under_load_lose_nothing(world: World) -> None:
    """No request fails and no stream ends while routes come and go around them."""
    steady = [STREAM, route("/a", "counting", text="a")]
    await world.start(steady)
    viewers = [await watching(world, "/stream/door") for _ in range(10)]
    done = asyncio.Event()
    answered = 0

    async def load() -> None:
        nonlocal answered
        async with await Client.connect(world.port) as client:
            while not done.is_set():
                answer = await client.get("/a")
                assert answer.status == 200
                answered += 1

    async def fresh() -> None:
        while not done.is_set():
            assert (await get(world.port, "/a")).status == 200

    async def feed() -> None:
        while any(not task.done() for task in reading):
            world.cameras.feed("door")
            await asyncio.sleep(1 / 60)

    parts = [0] * len(viewers)
    reading = [asyncio.ensure_future(_read(viewer, done, parts, n)) for n, viewer in enumerate(viewers)]
    working = [asyncio.ensure_future(work()) for work in (load, load, load, fresh, feed)]
    for number in range(50):
        before = answered
        assert await world.edit([*steady, route(f"/v{number}", "respond", body=str(number))]) == number + 2
        assert (await get(world.port, f"/v{number}")).body == str(number).encode()
        await until(lambda seen=before: answered > seen, "requests go on")
    await until(lambda: min(parts) > 10, "streams go on")
    done.set()
    await asyncio.gather(*working, *reading)
    assert (await get(world.port, "/v49")).status == 200
    for viewer in viewers:
        viewer.close()


async def _read(viewer: Viewer, done: asyncio.Event, parts: list[int], n: int) -> None:
    """Count parts until `done`; raises where the stream ends before."""
    while not done.is_set():
        await viewer.part()
        parts[n] += 1


async def test_a_route_that_does_not_get_ready_is_named_with_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidops.gateway.route.CALLBACK_TIMEOUT", 0.1)
    with pytest.raises(PermanentError, match=r"\(/x\) does not start: it is not ready after 0.1s$"):
        await world.start([route("/x", "unstartable", text="hangs")])

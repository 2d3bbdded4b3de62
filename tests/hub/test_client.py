"""The client against a hub in the same process: shared feeds, reasons, returns."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.hub.conftest import Inside, camera_json, until_true
from vidops.errors import PermanentError, TemporaryError
from vidops.ports import Frame
from vidops.resources.layout import Layout
from vidops.runtime.hubclient import HubClient
from vidops.runtime.hubslot import Slot


async def test_all_viewers_of_a_process_share_one_connection_and_every_frame_object(inside: Inside) -> None:
    await inside.camera()
    seen: list[list[Frame]] = [[], [], []]
    subscriptions = [inside.client.subscribe("door", s.append) for s in seen]
    await until_true(lambda: all(len(s) > 10 for s in seen), "ten frames each")
    assert len((await inside.client.status())["consumers"]) == 1
    assert all(a is b is c for a, b, c in zip(*(s[1:10] for s in seen), strict=True))
    for subscription in subscriptions:
        subscription.close()
        subscription.close()
    await inside.until_state("Idle")


async def test_nothing_is_called_before_subscribe_returns_or_after_close(inside: Inside) -> None:
    await inside.camera(on_demand=None)
    calls: list[str] = []
    other = inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    subscription = inside.client.subscribe("door", lambda _: calls.append("frame"), lambda _: calls.append("state"))
    assert calls == []
    await until_true(lambda: "frame" in calls and "state" in calls, "both are called")
    subscription.close()
    calls.clear()
    before = inside.state()["frames"]
    await until_true(lambda: inside.state()["frames"] > before + 5, "more frames")
    assert calls == []
    other.close()


async def test_one_takers_error_is_its_own(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    await inside.camera()
    seen: list[Frame] = []

    def broken(frame: Frame) -> None:
        raise RuntimeError("my own fault")

    bad = inside.client.subscribe("door", broken)
    inside.client.subscribe("door", seen.append)
    await until_true(lambda: len(seen) > 5, "the other sees frames")
    assert not bad.open
    assert "my own fault" in caplog.text


async def test_a_slow_viewer_gets_the_newest(inside: Inside) -> None:
    await inside.camera()
    async with contextlib.aclosing(inside.client.frames("door")) as frames:
        await anext(frames)
        before = inside.state()["frames"]
        await until_true(lambda: inside.state()["frames"] > before + 20, "20 more")
        assert (await anext(frames)).sequence > before + 15


async def test_a_snapshot_is_of_after_the_call(inside: Inside) -> None:
    inside.processes.every = 0.2
    await inside.camera(on_demand=None)
    inside.client.subscribe("door", lambda _: None)
    await inside.until_state("Online")
    for _ in range(3):
        called = time.time()
        assert (await inside.client.snapshot("door")).timestamp > called


async def test_a_snapshot_of_a_camera_that_delivers_nothing_says_what_it_waits_for(inside: Inside) -> None:
    inside.processes.sends = []
    await inside.camera()
    with pytest.raises(TemporaryError, match=r"no frame within 0\.2s") as caught:
        await inside.client.snapshot("door", timeout=0.2)
    assert caught.value.reason == "Timeout"
    await until_true(lambda: not inside.hub.cameras["door"].consumers, "its subscription is closed")


async def test_who_never_had_a_frame_is_told_why(inside: Inside) -> None:
    inside.processes.fails = True
    await inside.camera()
    with pytest.raises(TemporaryError, match="camera door: its process ended"):
        await anext(inside.client.frames("door"))


async def test_who_had_one_waits_until_there_are_more(inside: Inside) -> None:
    await inside.camera()
    async with contextlib.aclosing(inside.client.frames("door")) as frames:
        await anext(frames)
        inside.processes.fails = True
        await inside.processes.kill("source.door")
        await inside.until_state("Failed")
        waiting = asyncio.ensure_future(anext(frames))
        inside.processes.fails = False
        assert (await asyncio.wait_for(waiting, 10)).data


async def test_states_follow_the_hub(inside: Inside) -> None:
    changes: list[int] = []
    inside.client.on_change(lambda: changes.append(1))
    await inside.camera("yard")
    await inside.client.apply(camera_json("attic", None))
    await until_true(lambda: len(inside.client.states()) == 2, "both are known")
    assert [s["name"] for s in inside.client.states()] == ["attic", "yard"]
    assert inside.client.knows("yard")
    assert not inside.client.knows("door")
    assert (inside.client.state("attic") or {})["state"] == "Missing"
    await inside.client.remove("attic")
    await until_true(lambda: not inside.client.knows("attic"), "it is forgotten")
    assert changes


async def test_a_watch_begins_with_what_there_is_and_gives_a_slow_reader_the_newest(inside: Inside) -> None:
    await inside.camera("door")
    await until_true(lambda: inside.client.knows("door"), "it is known")
    async with contextlib.aclosing(inside.client.watch()) as changes:  # type: ignore[type-var]
        assert (await anext(changes))["camera"]["state"] == "Idle"
        for n in range(50):
            await inside.camera("door", description={"n": n})
        await inside.camera("yard")
        await until_true(lambda: inside.client.knows("yard"), "it is known")
        assert (await anext(changes))["camera"]["description"] == {"n": 49}
        assert (await anext(changes))["camera"]["name"] == "yard"
        await inside.client.remove("door")
        assert await anext(changes) == {"removed": "door"}


async def test_closing_the_client_ends_its_viewers(inside: Inside) -> None:
    await inside.camera()
    async with HubClient(inside.layout) as client:
        frames = client.frames("door")
        await anext(frames)
    assert [f async for f in frames][1:] == []


async def test_without_a_hub_requests_say_so(layout: Layout) -> None:
    async with HubClient(layout) as client:
        assert not await client.ready(0.05)
        for call in (client.status(), client.apply({}), client.remove("door")):
            with pytest.raises(TemporaryError, match="no hub answers") as caught:
                await call
            assert caught.value.reason == "HubDown"


async def test_a_hub_that_talks_nonsense_is_an_error_and_no_end(layout: Layout) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"\xff\xfe{{{\n" * 3)
        writer.close()

    server = await asyncio.start_unix_server(nonsense, layout.hub_socket)
    async with HubClient(layout) as client, asyncio.timeout(5):
        with pytest.raises(TemporaryError):
            await client.status()
        seen: list[Frame] = []
        subscription = client.subscribe("door", seen.append)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert subscription.open
        assert not client.connected.is_set()
    server.close()


async def test_a_viewer_without_a_hub_is_not_left_for_ever() -> None:
    slot = Slot("door")
    slot.on_state({"state": "Starting", "start_timeout": -4.95, "message": "supervisord does not answer"})
    with pytest.raises(TemporaryError, match="supervisord does not answer") as caught:
        await slot.first()
    assert caught.value.reason == "StartTimeout"


async def test_there_is_no_such_camera(inside: Inside) -> None:
    with pytest.raises(PermanentError, match="no camera attic"):
        await anext(inside.client.frames("attic"))
    ended: list[str] = []
    subscription = inside.client.subscribe("attic", lambda _: None, on_gone=lambda: ended.append("attic"))
    await until_true(lambda: ended, "it is told")
    assert subscription.unknown

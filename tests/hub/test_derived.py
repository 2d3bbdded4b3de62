"""Streams made of a camera's, under a real supervisord and with real FFmpegs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.hub.conftest import Host, picture, until, until_true
from vidops.errors import TemporaryError
from vidops.hub.jpeg import check
from vidops.ports import Frame

pytestmark = pytest.mark.integration


@asynccontextmanager
async def viewing(
    host: Host, camera: str = "door", *, fps: float | None = None, width: int | None = None
) -> AsyncIterator[list[Frame]]:
    """The frames that come; at least one has."""
    frames: list[Frame] = []
    subscription = host.client.subscribe(camera, frames.append, fps=fps, width=width)
    try:
        await until_true(lambda: frames, f"a frame; {host.client.state(camera)}", 20)
        yield frames
    finally:
        subscription.close()


def size(frame: Frame) -> tuple[int, int]:
    image = check(frame.data)
    return image.width, image.height


async def derived(host: Host) -> dict[str, int]:
    """Programs of derived streams that run, with their pids."""
    found = await host.supervisor.inventory()
    return {name: state.pid for name, state in found.items() if name.startswith("derived.") and state.running}


async def rate(frames: list[Frame], seconds: float) -> float:
    """Frames a second that come, by their times."""
    begin = len(frames)
    deadline = asyncio.get_running_loop().time() + seconds + 5
    while frames[-1].timestamp - frames[begin - 1].timestamp < seconds:
        assert asyncio.get_running_loop().time() < deadline, "no frames"
        await asyncio.sleep(0.01)
    return (len(frames) - begin) / (frames[-1].timestamp - frames[begin - 1].timestamp)


async def test_fewer_frames_are_the_cameras_own_and_cost_no_process(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", rate=30))
    async with viewing(host) as every, viewing(host, fps=10) as some:
        assert await rate(some, 2) == pytest.approx(10, abs=1)
        assert await derived(host) == {}
        assert {f.data for f in some[1:-1]} <= {f.data for f in every}
        assert {f.sequence for f in some[1:-1]} <= {f.sequence for f in every}


@pytest.mark.long
async def test_smaller_pictures_are_one_process_for_all_who_want_the_same(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", rate=15))
    async with viewing(host), viewing(host, width=160) as first, viewing(host, width=161) as same:
        assert size(first[-1]) == size(same[-1]) == (160, 120)
        assert list(await derived(host)) == ["derived.door.w160"]
        async with viewing(host, width=160, fps=5) as slow:
            assert await rate(slow, 2) == pytest.approx(5, abs=1)
            assert sorted(await derived(host)) == ["derived.door.w160", "derived.door.w160-r5"]
        state = await host.state("door")
        assert state["viewers"] == 3
        assert (state["width"], state["codec"]) == (320, "mjpeg")

    async def gone() -> bool:
        return not await derived(host) and not list(Path(host.layout.run_dir, "specs").glob("derived*"))

    await until(gone, "none runs when nobody looks", 20)
    await host.until_state("door", "Idle")
    assert not [name for name in os.listdir(f"{host.layout.run_dir}/in") if name != "door.sock"]


async def test_never_larger_than_the_camera(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door"))
    async with viewing(host), viewing(host, width=640) as frames:
        assert size(frames[-1]) == (320, 240)
        assert await derived(host) == {}
    async with viewing(host, width=4000) as frames:
        assert size(frames[-1]) == (320, 240)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_jpegs_of_another_codec_are_made_once_for_all(host: Host, codec: str) -> None:
    await host.camera("door", picture(host.layout, "door", rate=10, codec=codec))
    async with viewing(host) as first, viewing(host) as second:
        assert size(first[-1]) == size(second[-1]) == (320, 240)
        assert list(await derived(host)) == ["derived.door.jpeg"]
        assert (await host.state("door"))["codec"] == codec
        async with viewing(host, fps=5) as some:
            assert await rate(some, 2) == pytest.approx(5, abs=1)
    frame = await host.client.snapshot("door")
    assert size(frame) == (320, 240)


async def test_a_killed_one_heals_and_viewers_stay(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", rate=15))
    async with viewing(host, width=160) as frames:
        pid = (await derived(host))["derived.door.w160"]
        os.kill(pid, signal.SIGKILL)
        seen = len(frames)
        await until_true(lambda: len(frames) > seen + 10, "frames again", 15)
        assert (await derived(host))["derived.door.w160"] != pid


async def test_a_killed_hub_leaves_none_behind_and_viewers_come_back(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", rate=15))
    async with viewing(host, width=160) as frames:
        os.kill((await host.process("hub")).pid, signal.SIGKILL)

        async def ended() -> bool:
            return (await host.process("hub")).stopped

        await until(ended, "the hub is dead")
        await host.supervisor.start("hub")
        seen = len(frames)
        await until_true(lambda: len(frames) > seen + 10, "frames again", 20)
        assert list(await derived(host)) == ["derived.door.w160"]


async def test_a_failing_camera_is_told_at_once_and_its_streams_come_back_with_it(host: Host) -> None:
    good = picture(host.layout, "door", rate=15)
    bad = good.model_copy(update={"argv": (good.argv[0], "-i", "/nowhere", "-f", "null", "-")})
    await host.camera("door", bad)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TemporaryError, match="No such file"):
        async with contextlib.aclosing(host.client.frames("door", width=160)) as frames:
            await anext(frames)
    assert asyncio.get_running_loop().time() - began < 5
    await host.camera("door", good)
    async with viewing(host, width=160) as seen:
        assert size(seen[-1]) == (160, 120)


async def test_there_are_only_so_many(host: Host) -> None:
    await host.supervisor.stop("hub")
    await host.start_hub("--max-derived", "2")
    await host.camera("door", picture(host.layout, "door", rate=10))
    async with viewing(host, width=160), viewing(host, width=100):
        with pytest.raises(TemporaryError, match="as many as may") as caught:
            async with contextlib.aclosing(host.client.frames("door", width=64)) as frames:
                await anext(frames)
        assert caught.value.reason == "TooManyStreams"
        assert len(await derived(host)) == 2
    # What nobody looks at any more makes room.
    async with viewing(host, width=64) as frames:
        assert size(frames[-1]) == (64, 48)


async def test_a_removed_camera_takes_its_streams_along(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", rate=15))
    gone: list[bool] = []
    frames: list[Frame] = []
    host.client.subscribe("door", frames.append, on_gone=lambda: gone.append(True), width=160)
    await until_true(lambda: frames, "a frame", 20)
    await host.client.remove("door")
    await until_true(lambda: gone, "viewers are told")

    async def none() -> bool:
        return not await derived(host)

    await until(none, "its streams are gone", 20)

"""The console in a real browser: live pictures, states, recordings, errors; and what it says when parts are away."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.pictures import moves
from tests.gateway.world import World, route

pytestmark = [pytest.mark.browser, pytest.mark.integration]

ROUTES = [
    route("/stream/**", "stream"),
    route("/snapshot/**", "snapshot"),
    route("/v1/devices/**", "devices"),
    route("/v1/recordings/**", "recordings"),
    route("/v1/status", "status"),
    route("/**", "console", chain=["security_headers"]),
]
RATE = 10


@pytest.fixture(scope="session")
def images() -> list[bytes]:
    """A second of a moving test picture, as JPEGs."""
    picture = f"testsrc2=size=320x180:rate={RATE}:duration=1"
    argv = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "image2pipe", "-c:v", "mjpeg", "-"]
    stream = subprocess.run(argv, check=True, capture_output=True).stdout
    found = [b"\xff\xd8" + image for image in stream.split(b"\xff\xd8")[1:]]
    assert len(found) == RATE
    return found


def resource(kind: str, name: str, health: str = "Healthy", **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "sync": "Synced",
        "health": health,
        "reason": "Running",
        "message": "",
        "pid": 4242,
        "restarts": 0,
        **more,
    }


def status(**more: Any) -> dict[str, Any]:
    return {
        "stack": {"name": "front-desk", "path": "/etc/vidops/stack.yaml", "labels": {}, "revision": 7},
        "sync": "Synced",
        "health": "Healthy",
        "rejected": "",
        "problems": [],
        "resources": [
            resource("hub", "hub"),
            resource("source", "door"),
            resource("capture", "door-archive", restarts=3),
            resource("source", "yard", "Degraded", reason="CrashLoop", message="No such device", pid=0),
        ],
        **more,
    }


class Console:
    """The page, and the world that it shows."""

    def __init__(self, page: Page, world: World) -> None:
        self.page, self.world = page, world
        self.complaints: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, kind: str, text: str) -> None:
        # A refused answer (503) shows as a failed load; that the page deals with it is what is tested.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.complaints.append(text)

    async def open(self) -> None:
        await self.page.goto(f"http://127.0.0.1:{self.world.port}/", wait_until="domcontentloaded")

    async def moves(self, camera: str) -> None:
        await moves(self.page, camera)


@asynccontextmanager
async def filming(world: World, images: list[bytes]) -> AsyncIterator[None]:
    """The camera `door` delivers; `yard` does not work."""

    async def film() -> None:
        turn = 0
        while True:
            world.cameras.feed("door", images[turn % len(images)])
            turn += 1
            await asyncio.sleep(1 / RATE)

    task = asyncio.create_task(film())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def console(browser: Browser, images: list[bytes]) -> AsyncIterator[Console]:
    world = World()
    world.cameras.say("door", width=320, height=180, captured_fps=10.0, viewers=2)
    world.cameras.say("yard", state="Failed", reason="CrashLoop", message="No such device")
    world.control.answer = status()
    await world.start(ROUTES)
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    async with filming(world, images):
        yield Console(page, world)
        await page.close()
    await world.close()


async def test_it_shows_live_video_states_and_recordings_as_they_grow(console: Console) -> None:
    growing = {"camera": "door", "capture": "door-archive", "path": ".spool/door-archive/1700000000-1.mkv"}
    growing |= {"start": time.time() - 5, "end": time.time(), "bytes": 2 * 1024 * 1024, "finished": False}
    done = {**growing, "path": "door/2026-01-01/10-00-00.mkv", "end": growing["start"] + 60, "finished": True}
    console.world.recordings.rows = [growing, done]
    await console.open()
    page = console.page
    await console.moves("door")
    await expect(page.get_by_role("heading", name="front-desk")).to_be_visible()
    await expect(page.locator("#facts")).to_contain_text("revision 7")
    row = page.locator("#resources tbody tr", has_text="door-archive")
    await expect(row).to_contain_text("Healthy")
    await expect(row).to_contain_text("4242")
    await expect(page.locator("#resources tbody tr", has_text="source/yard")).to_contain_text("No such device")
    await expect(page.locator("figure.camera", has_text="yard")).to_contain_text("No such device")
    await expect(page.locator("#recordings tbody tr")).to_have_count(2)
    first = page.locator("#recordings tbody tr").first
    await expect(first).to_contain_text("2.0 MiB")
    growing |= {"bytes": 3 * 1024 * 1024}
    await expect(first).to_contain_text("3.0 MiB")
    await expect(first).to_contain_text("recording")
    link = page.locator("#recordings tbody tr").nth(1).get_by_role("link")
    await expect(link).to_have_attribute("href", "/v1/recordings/door/2026-01-01/10-00-00.mkv")
    assert console.complaints == []
    if folder := os.environ.get("VIDOPS_SCREENSHOTS"):
        await screenshots(page, Path(folder))


async def screenshots(page: Page, folder: Path) -> None:
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width in (1280, 400):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.screenshot(path=folder / f"console-{scheme}-{width}.png")


async def test_a_bad_edit_shows_where_and_goes_when_it_is_corrected(console: Console) -> None:
    await console.open()
    place = {"file": "/etc/vidops/stack.yaml", "line": 12, "column": 5, "path": "devices.door.sorce"}
    problem = {**place, "message": "unknown key <b>sorce</b>", "hint": "did you mean source?"}
    console.world.control.answer = status(problems=[problem], sync="OutOfSync")
    notice = console.page.locator("#notices")
    await expect(notice).to_contain_text("/etc/vidops/stack.yaml:12:5")
    await expect(notice).to_contain_text("unknown key <b>sorce</b>")
    await expect(notice).to_contain_text("did you mean source?")
    assert await notice.locator("b").count() == 0, "what the stack file says must never become markup"
    await expect(console.page.locator("#facts")).to_contain_text("OutOfSync")
    console.world.control.answer = status()
    await expect(notice).to_be_empty()


async def test_video_goes_on_while_the_control_plane_is_down(console: Console) -> None:
    await console.open()
    await console.moves("door")
    await expect(console.page.locator("#resources tbody tr")).to_have_count(4)
    image = console.page.get_by_alt_text("Live picture of door")
    source = await image.get_attribute("src")
    console.world.control.answer = None
    await expect(console.page.locator("#notices")).to_contain_text("The control plane does not answer")
    await console.moves("door")
    await expect(console.page.locator("#resources tbody tr")).to_have_count(4)
    console.world.control.answer = status()
    await expect(console.page.locator("#notices")).to_be_empty()
    assert await image.get_attribute("src") == source, "the stream was opened anew"


async def test_a_camera_that_comes_back_is_shown_again(console: Console) -> None:
    await console.open()
    card = console.page.locator("figure.camera", has_text="door")
    await console.moves("door")
    console.world.cameras.remove("door")
    await expect(card).to_have_count(0)
    console.world.cameras.known["door"] = {"name": "door", "state": "Online"}
    await expect(card).to_have_count(1)
    await console.moves("door")


async def test_nothing_is_fetched_from_anywhere_else(console: Console) -> None:
    asked: set[str] = set()
    console.page.on("request", lambda request: asked.add(request.url.split("/")[2]))
    await console.open()
    await console.moves("door")
    assert asked - {""} == {f"127.0.0.1:{console.world.port}"}
    policy = (await console.page.request.get(console.page.url)).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_a_narrow_screen_needs_no_sideways_scrolling(console: Console) -> None:
    await console.page.set_viewport_size({"width": 360, "height": 740})
    await console.open()
    await console.moves("door")
    await expect(console.page.locator("#resources tbody tr")).to_have_count(4)
    width = await console.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360

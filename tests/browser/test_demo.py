"""The demo, as a newcomer sees it: the real stack with all its processes, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.pictures import moves
from vidops.testing import Host, free_port

pytestmark = [pytest.mark.browser, pytest.mark.integration]

DEMO = Path(__file__).parents[2] / "stacks" / "demo.yaml"


async def test_the_demo_in_a_browser(vidops_host: Callable[..., Host], browser: Browser) -> None:
    port = free_port()
    text = DEMO.read_text()
    host = vidops_host(text, env={"VIDOPS_DEMO_PORT": str(port)})
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    await page.goto(f"http://127.0.0.1:{port}/", wait_until="domcontentloaded")

    await moves(page, "demo")
    await moves(page, "demo-private")
    for name in ("hub/hub", "source/demo", "source/demo-private", "capture/demo-archive", "gateway/demo"):
        row = page.locator("#resources tbody tr", has=page.get_by_text(name.split("/")[1], exact=True))
        row = row.filter(has_text=name)
        await expect(row).to_contain_text("Healthy")
        await expect(row).to_contain_text("Synced")
    recording = page.locator("#recordings tbody tr").first
    await expect(recording).to_contain_text("recording")
    size = await recording.inner_text()
    await expect(recording).not_to_have_text(size)
    if folder := os.environ.get("VIDOPS_SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / "demo.png")

    # A bad edit: everything goes on, and the page says where it is wrong.
    host.write(text.replace("framerate: 15", "framrate: 15"))
    notice = page.locator("#notices")
    await expect(notice).to_contain_text("stack.yaml:11:")
    await expect(notice).to_contain_text("framerate")
    await moves(page, "demo")
    host.write(text)
    await expect(notice).to_be_empty()

    # The control plane is killed: it says so, and the pictures go on, over the connection they came by.
    image = page.get_by_alt_text("Live picture of demo", exact=True)
    source = await image.get_attribute("src")
    host.kill()
    await expect(notice).to_contain_text("The control plane does not answer")
    await moves(page, "demo")
    host.start()
    await expect(notice).to_be_empty()
    assert await image.get_attribute("src") == source
    await page.close()

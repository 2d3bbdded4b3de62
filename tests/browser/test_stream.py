"""A stream in a real browser: every picture of the camera's is seen in an `<img>`, and its bytes are the camera's."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from playwright.async_api import Browser

from tests.integration.mjpeg import FRAMES, World, parts, served
from vidops.testing import Host

pytestmark = [pytest.mark.browser, pytest.mark.integration]

ENOUGH = 40
READ = """async ([uri, enough]) => {
  const reader = (await fetch(uri)).body.getReader();
  let text = "";
  while (text.length < enough) {
    const {value} = await reader.read();
    for (let at = 0; at < value.length; at += 8192) text += String.fromCharCode(...value.subarray(at, at + 8192));
  }
  await reader.cancel();
  return btoa(text);
}"""
DRAWN = """async (count) => {
  const image = document.querySelector("img"), seen = new Set(), canvas = document.createElement("canvas");
  while (seen.size < count) {
    await new Promise((yes) => requestAnimationFrame(yes));
    if (!image.naturalWidth) continue;
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    seen.add(canvas.toDataURL("image/png"));
  }
  return [image.naturalWidth, image.naturalHeight, seen.size];
}"""


async def test_a_browser_shows_it_and_is_given_the_cameras_bytes(
    vidops_host: Callable[..., Host], browser: Browser
) -> None:
    with served(vidops_host) as world:
        await look(world, browser)


async def look(world: World, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(world.base)
    # Every picture of the camera's is seen in the <img>.
    assert await page.evaluate(DRAWN, FRAMES) == [320, 240, FRAMES]
    enough = ENOUGH * max(map(len, world.frames))
    found = parts(base64.b64decode(await page.evaluate(READ, ["/stream/cam", enough])))
    assert len(found) >= ENOUGH * 0.8
    assert {image for _, image in found} == set(world.frames)

"""A camera's H.264 in a real browser, live: as it is in a `<video>`, as JPEGs in an `<img>`."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from playwright.async_api import Browser

from vidops.testing import Host, free_port

pytestmark = [pytest.mark.browser, pytest.mark.integration]

STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, codec: h264, mode: {{video_size: 320x180, framerate: 10}}}}
  old: {{source: testsrc, mode: {{video_size: 320x180, framerate: 10}}}}
gateways:
  web:
    bind: 127.0.0.1:{port}
    routes:
      - {{path: /stream/**, handler: {{type: stream}}}}
      - {{path: /snapshot/**, handler: {{type: snapshot}}}}
      - {{path: /, handler: {{type: respond, body: "<video muted></video>", content_type: text/html}}}}
"""
PLAY = """async ([uri, seconds]) => {
  const video = document.querySelector("video");
  video.src = uri;
  const failed = new Promise((_, no) => video.addEventListener("error", () => no(new Error(video.error.message))));
  const played = new Promise((yes) => video.addEventListener("timeupdate", () => video.currentTime > seconds && yes()));
  await video.play();
  await Promise.race([failed, played]);
  return {time: video.currentTime, width: video.videoWidth, height: video.videoHeight};
}"""
SHOW = """async (uri) => {
  const image = document.body.appendChild(document.createElement("img"));
  image.src = uri;
  while (!image.naturalWidth) await new Promise((yes) => setTimeout(yes, 50));
  return [image.naturalWidth, image.naturalHeight];
}"""


def refusal(url: str) -> tuple[int, dict[str, str]]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, timeout=10)
    with caught.value as error:
        return error.code, json.load(error)


async def test_an_h264_camera_is_watched_in_every_way(vidops_host: Callable[..., Host], browser: Browser) -> None:
    port = free_port()
    vidops_host(STACK.format(port=port))
    base = f"http://127.0.0.1:{port}"
    pages = [await browser.new_page() for _ in range(2)]
    for page in pages:
        await page.goto(base)
    # The second one joins in the middle.
    for page in pages:
        played = await asyncio.wait_for(page.evaluate(PLAY, ["/stream/cam?format=mp4", 2]), 30)
        assert (played["width"], played["height"]) == (320, 180)
        assert 2 < played["time"] < 10
    assert await asyncio.wait_for(pages[0].evaluate(SHOW, "/stream/cam"), 30) == [320, 180]
    assert await asyncio.wait_for(pages[1].evaluate(SHOW, "/stream/cam?width=160&fps=5"), 30) == [160, 90]
    assert await asyncio.wait_for(pages[1].evaluate(SHOW, "/snapshot/cam"), 30) == [320, 180]
    code, problem = await asyncio.to_thread(refusal, f"{base}/stream/old?format=mp4")
    assert code == 406
    assert "mjpeg" in problem["detail"]
    for query in ("width=1", "fps=x", "format=avi", "format=mp4&width=320"):
        assert (await asyncio.to_thread(refusal, f"{base}/stream/cam?{query}"))[0] == 400

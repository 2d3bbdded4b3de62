"""Recordings in a real browser: one playlist over several files, played across their borders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from playwright.async_api import Browser

from vidops.runtime.index import Wanted
from vidops.runtime.recordings import RecordingsReader
from vidops.testing import Host, free_port

pytestmark = [pytest.mark.browser, pytest.mark.integration]

STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 320x180, framerate: 10}}}}
captures:
  {capture}:
    device: cam
    codec: {{video: libx264, preset: ultrafast}}
    segment: {{duration: 2s, format: {form}, path: "{{device}}/%s"}}
gateways:
  web:
    bind: 127.0.0.1:{port}
    routes:
      - {{path: /rec/**, handler: {{type: recordings}}}}
      - {{path: /, handler: {{type: respond, body: "<video muted></video>", content_type: text/html}}}}
"""
PLAY = """async ([uri, seconds]) => {
  const video = document.querySelector("video");
  video.src = uri;
  const failed = new Promise((_, no) => video.addEventListener("error", () => no(new Error(video.error.message))));
  const played = new Promise((yes) => video.addEventListener("timeupdate", () => video.currentTime > seconds && yes()));
  await video.play();
  await Promise.race([failed, played]);
  return {time: video.currentTime, width: video.videoWidth, height: video.videoHeight, duration: video.duration};
}"""


@pytest.mark.parametrize("form", ["fmp4", "ts"])
async def test_a_playlist_plays_across_files(vidops_host: Callable[..., Host], browser: Browser, form: str) -> None:
    port = free_port()
    host = vidops_host(STACK.format(port=port, form=form, capture=form))

    def finished() -> list[dict[str, float]]:
        rows = RecordingsReader(host.layout).finished(Wanted())
        return [{"start": r.start, "end": r.end} for r in rows][::-1]

    await asyncio.to_thread(host.until, lambda: len(finished()) >= 3, timeout=40, what="three files")
    rows = finished()[:3]
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{port}/")
    uri = f"/rec?view=hls&camera=cam&from={rows[0]['start']}&to={rows[-1]['end'] - 0.05}"
    first = rows[0]["end"] - rows[0]["start"]
    async with asyncio.timeout(60):
        # Beyond the first file, and the border behind it.
        shown = await page.evaluate(PLAY, [uri, first + 2.5])
    assert (shown["width"], shown["height"]) == (320, 180)
    # Of the files, each with or without its last frame; when the first of a run began is known less well.
    assert shown["duration"] == pytest.approx(sum(row["end"] - row["start"] for row in rows), abs=0.5)
    await page.close()

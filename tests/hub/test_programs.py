"""The programs of built-in sources and nodes, at work: what comes out of them is what was asked."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.hub.conftest import Host
from vidops.api import NodeContext, Program, SourceContext
from vidops.hub.words import essence
from vidops_plugins.loopbacks import camera_out, vidops_loopback_nodes
from vidops_plugins.sources import vidops_sources

pytestmark = pytest.mark.integration
PACKAGED = importlib.util.find_spec("imageio_ffmpeg") is not None


def source(host: Host, camera: str, kind: str, **options: Any) -> Program:
    registered = {t.name: t for t in vidops_sources()}[kind]
    given = registered.options.model_validate({"source": kind, **options})
    program = registered.build(given, SourceContext(camera, host.layout)).program
    assert program is not None
    return program


def grey(picture: bytes, crop: str) -> bytes:
    """A region of a JPEG as pixels, 0 to 255."""
    command = ["ffmpeg", "-v", "error", "-f", "mjpeg", "-i", "-", "-vf", f"crop={crop}", "-pix_fmt", "gray"]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], input=picture, capture_output=True, check=True)
    return done.stdout


def ffmpegs() -> list[str]:
    found = [shutil.which("ffmpeg") or ""]
    if PACKAGED:
        import imageio_ffmpeg

        found.append(imageio_ffmpeg.get_ffmpeg_exe())
    return [f for f in found if f]


@pytest.mark.parametrize("ffmpeg", ffmpegs(), ids=lambda path: Path(path).name[:12])
async def test_the_test_picture_has_a_clock_and_a_counter_that_go(host: Host, ffmpeg: str) -> None:
    program = source(host, "demo", "testsrc", mode={"video_size": "640x360", "framerate": 15})
    await host.camera("demo", Program(argv=(ffmpeg, *program.argv[1:])))
    first = await host.client.snapshot("demo")
    host.client.subscribe("demo", lambda _: None)
    later = await host.client.snapshot("demo")
    while later.sequence < first.sequence + 16:
        later = await host.client.snapshot("demo")
    state = await host.state("demo")
    assert (state["width"], state["height"]) == (640, 360)
    # White digits on a dark box: the clock on the left, the counter on the right.
    clock, counter = "300:30:0:0", "60:30:580:0"
    for crop in (clock, counter):
        before, after = grey(first.data, crop), grey(later.data, crop)
        assert max(before) > 200
        assert sum(abs(a - b) > 60 for a, b in zip(before, after, strict=True)) > 5
    assert host.log("source.demo") == ""


async def test_a_file_is_played_in_a_loop_without_a_pause(host: Host, tmp_path: Path) -> None:
    clip = tmp_path / "a clip: 1.mkv"
    make = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=160x120:r=20:d=0.5",
        "-c:v",
        "mjpeg",
        f"file:{clip}",
    ]
    subprocess.run(make, check=True)
    await host.camera("loop", source(host, "loop", "file", path=str(clip)), start_timeout=5.0)
    seen = []
    async for frame in host.client.frames("loop"):
        seen.append(frame)
        if len(seen) == 30:
            break
    # Three times round in the time that it takes.
    assert seen[-1].sequence - seen[0].sequence >= 29
    assert 1.0 < seen[-1].timestamp - seen[0].timestamp < 4.0
    assert (await host.state("loop"))["restarts"] == 0


async def test_a_file_that_is_not_there_is_said(host: Host) -> None:
    await host.camera("loop", source(host, "loop", "file", path="/nowhere/clip.mp4"), on_demand=None)
    state = await host.until_state("loop", "Failed")
    assert "/nowhere/clip.mp4: No such file or directory" in state["message"]


async def test_a_device_that_is_not_there_is_said(host: Host) -> None:
    await host.camera("cam", source(host, "cam", "v4l2", path="/dev/video99"), on_demand=None)
    state = await host.until_state("cam", "Failed")
    assert "/dev/video99: No such file or directory" in state["message"]


async def test_a_graph_puts_out_a_camera_and_closes_with_it(host: Host) -> None:
    await host.camera("door", source(host, "door", "testsrc", mode={"video_size": "320x240", "framerate": 20}))
    node = {t.name: t for t in vidops_loopback_nodes()}["camera_out"]
    options = camera_out.CameraOut.model_validate({"type": "camera_out", "in": "half", "name": "small"})
    assert node.build is not None
    context = NodeContext("graph.again", "door", ("scale=160:-2", "negate"), host.layout)
    await host.camera("small", node.build(options, context))
    frame = await host.client.snapshot("small", timeout=20)
    state = await host.state("small")
    assert (state["width"], state["height"]) == (160, 120)
    original = await host.client.snapshot("door")
    # testsrc2's left column is red; its negative is not.
    assert abs(grey(original.data, "16:16:4:150")[0] - (255 - grey(frame.data, "8:8:2:75")[0])) < 12
    # Decoded JPEGs have what the scaler calls a deprecated format; it says nothing else.
    assert essence(host.log("source.small")) == ""
    async with asyncio.timeout(10):
        await host.until_state("small", "Idle")
        await host.until_state("door", "Idle")

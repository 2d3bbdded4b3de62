"""H.264 and HEVC through the hub: as they came, from a key frame on."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.hub.conftest import Host, picture, until_true
from vidops.api import FFMPEG, RUN_ID, CaptureContext, Frame, NodeContext, VideoPacket
from vidops_plugins.captures.segments import Segments, build
from vidops_plugins.loopbacks.camera_out import CameraOut
from vidops_plugins.loopbacks.camera_out import build as camera_out

pytestmark = pytest.mark.integration


def probe(path: Path, *what: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *what, str(path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def recorder(host: Host, spool: Path, **segment: Any) -> subprocess.Popen[bytes]:
    spool.mkdir(parents=True)
    made = build(
        Segments.model_validate({"device": "door", "segment": segment}),
        CaptureContext("archive", "door", host.layout, str(spool)),
    )
    argv = ["ffmpeg" if word == FFMPEG else word.replace(RUN_ID, "1_1") for word in made.program.argv]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=(spool.parent / "log").open("wb"))


@pytest.mark.parametrize(("codec", "form"), [("h264", "fmp4"), ("h264", "mkv"), ("h264", "ts"), ("hevc", "fmp4")])
async def test_recordings_are_cut_at_key_frames_and_play(host: Host, tmp_path: Path, codec: str, form: str) -> None:
    await host.camera("door", picture(host.layout, "door", codec=codec, rate=10), on_demand=None)
    await host.until_state("door", "Online")
    process = recorder(host, tmp_path / "spool", duration="2s", format=form)
    try:
        await until_true(lambda: len(list((tmp_path / "spool").iterdir())) >= 4, "four files", 20)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
    files = sorted((tmp_path / "spool").iterdir())
    said = (tmp_path / "log").read_text().splitlines()
    assert [line for line in said if "not enough frames to estimate rate" not in line] == []
    for path in files[:3]:
        found = await asyncio.to_thread(probe, path, "-show_packets", "-show_streams")
        assert found["streams"][0]["codec_name"] == codec
        packets = found["packets"]
        assert packets[0]["flags"].startswith("K")
        command = ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "framecrc", "-"]
        decoded = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        assert decoded.stderr == b""
        frames = [line for line in decoded.stdout.splitlines() if line.startswith(b"0,")]
        assert len(frames) == len(packets)
    # Two whole ones in the middle hold two seconds each.
    assert [len(probe(path, "-show_packets")["packets"]) for path in files[1:3]] == [20, 20]


async def test_a_viewer_of_packets_begins_at_a_key_frame_whenever_it_joins(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", codec="h264", rate=10))
    first: list[VideoPacket] = []
    one = host.client.subscribe_packets("door", first.append)
    await until_true(lambda: len(first) > 15, "packets", 20)
    # In the middle of a group, in another process's client as in the same.
    second: list[VideoPacket] = []
    two = host.client.subscribe_packets("door", second.append)
    await until_true(lambda: len(second) > 5, "packets")
    assert first[0].key
    assert second[0].key
    assert [p.sequence for p in second] == list(range(second[0].sequence, second[0].sequence + len(second)))
    assert second[0] in first
    assert (await host.state("door"))["viewers"] == 2
    one.close()
    two.close()


async def test_a_restarted_source_goes_on_for_viewers_and_recorders(host: Host, tmp_path: Path) -> None:
    await host.camera("door", picture(host.layout, "door", codec="h264", rate=10), on_demand=None)
    await host.until_state("door", "Online")
    process = recorder(host, tmp_path / "spool", duration="60s", format="mkv")
    packets: list[VideoPacket] = []
    subscription = host.client.subscribe_packets("door", packets.append)
    try:
        await until_true(lambda: len(packets) > 15, "packets", 20)
        os.kill((await host.process("source.door")).pid, signal.SIGKILL)
        seen = len(packets)
        await until_true(lambda: len(packets) > seen + 15, "packets again", 20)
        assert process.poll() is None
        times = [p.timestamp for p in packets]
        assert sorted(times) == times
    finally:
        subscription.close()
        process.terminate()
        await asyncio.to_thread(process.wait)
    (path,) = (tmp_path / "spool").iterdir()
    assert len(probe(path, "-show_packets")["packets"]) > 25


async def test_a_graph_reads_an_h264_camera_like_any_other(host: Host) -> None:
    await host.camera("door", picture(host.layout, "door", codec="h264", rate=10))
    options = CameraOut.model_validate({"type": "camera_out", "in": "x", "name": "dim"})
    program = camera_out(options, NodeContext("g.out", "door", ("scale=160:-2",), host.layout))
    await host.camera("dim", program)
    frames: list[Frame] = []
    subscription = host.client.subscribe("dim", frames.append)
    await until_true(lambda: len(frames) > 15, f"frames: {host.log('source.dim')}", 20)
    assert (await host.state("dim"))["width"] == 160
    between = [b.timestamp - a.timestamp for a, b in itertools.pairwise(frames[10:])]
    assert sum(between) / len(between) == pytest.approx(0.1, abs=0.03)
    subscription.close()

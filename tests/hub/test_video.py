"""H.264 and HEVC through the hub: as they came, from a key frame on."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.hub.conftest import Host, picture, until_true
from vidops.api import FFMPEG, RUN_ID, CaptureContext
from vidops_plugins.captures.segments import Segments, build

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

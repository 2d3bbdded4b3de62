from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from vidops.api import VideoPacket
from vidops.runtime.matroska_reader import MatroskaReader, Packet
from vidops_plugins.handlers import mp4


@pytest.mark.integration
@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("libx265", "hevc")])
def test_ffmpeg_plays_what_is_made(tmp_path: Path, encoder: str, codec: str) -> None:
    command = [
        *["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=10", "-frames:v", "30", "-c:v", encoder],
        *[
            "-pix_fmt",
            "yuv420p",
            "-g",
            "10",
            "-bf",
            "0",
            "-x265-params",
            "log-level=error:bframes=0",
            "-f",
            "matroska",
            "-",
        ],
    ]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    events = list(MatroskaReader(1 << 20).feed(data))
    track, packets = events[0], [e for e in events if isinstance(e, Packet)]
    fragments = [
        mp4.fragment(VideoPacket(track, p.data, p.key, n, 1.7e9 + p.time), 9000)  # type: ignore[arg-type]
        for n, p in enumerate(packets)
    ]
    path = tmp_path / "stream.mp4"
    # It begins in the middle, as a viewer that joins.
    path.write_bytes(mp4.begin(track) + b"".join(f.at(fragments[10].time) for f in fragments[10:]))  # type: ignore[arg-type]
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_packets", "-show_streams", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)
    assert done.stderr == ""
    (stream,) = found["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == (codec, 320, 240)
    times = [float(packet["pts_time"]) for packet in found["packets"]]
    assert times == pytest.approx([n / 10 for n in range(20)], abs=0.002)
    assert [packet["flags"][0] == "K" for packet in found["packets"]] == [n % 10 == 0 for n in range(20)]
    decoded = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "null", "-"], capture_output=True, check=True
    )
    assert decoded.stderr == b""

"""Captures as policy on real parts: when they record, what of it stays, and that turning one disturbs nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vidops.testing import Host, free_port

pytestmark = pytest.mark.integration

Start = Callable[..., Host]

STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 320x180, framerate: 10}}}}
captures:
  always: {{device: cam, segment: {{duration: 1s, path: "always/%Y%m%d-%H%M%S"}}}}
  other:
    device: cam
    segment: {{duration: 1s, path: "other/%Y%m%d-%H%M%S"}}
    {policy}
"""


def finished(host: Host, capture: str) -> list[dict[str, Any]]:
    rows = json.loads(host.cli("recordings", "-o", "json").stdout)
    return [row for row in rows if row["capture"] == capture and row["finished"]]


def other(host: Host) -> tuple[str, str, int]:
    """Health, reason and pid of the capture that is turned."""
    row = host.resource("capture/other")
    return row["health"], row["reason"], row["pid"]


def test_on_demand_records_from_start_to_stop(vidops_host: Start) -> None:
    host = vidops_host(STACK.format(policy="on_demand: true"))
    host.until(lambda: host.pid("capture/always"), what="the other recorder")
    untouched = host.pid("capture/always")
    host.until(lambda: other(host) == ("Suspended", "NotAsked", 0), what="a capture that waits to be asked")
    # What waits to be asked makes nothing unhealthy.
    host.healthy()

    assert host.cli("capture", "start", "other").stdout == "capture other: records\n"
    host.until(lambda: finished(host, "other"), what="a finished segment")
    # Asked is asked, whoever runs the control plane.
    recorder = host.pid("capture/other")
    host.kill()
    host.start()
    host.until(lambda: host.health("capture/other") == "Healthy", what="the recorder is adopted")
    assert host.pid("capture/other") == recorder

    stopped = host.cli("capture", "stop", "other")
    assert stopped.stdout == "capture other: does not record (NotAsked)\n", stopped.stderr
    assert other(host) == ("Suspended", "NotAsked", 0)
    assert host.pid("capture/always") == untouched
    # Nothing that was begun is lost: the last segment is filed, too.
    host.until(lambda: all(r["finished"] for r in _rows(host, "other")), what="the last segment")

    # Asked once more, the first segment says since when there is nothing, and why.
    before = max(r["end"] for r in finished(host, "other"))
    host.cli("capture", "start", "other")
    row = host.until(
        lambda: next((r for r in finished(host, "other") if r["start"] >= before), None), what="a segment after the gap"
    )
    assert row["gap_reason"] == "NotAsked"
    assert row["gap"] == pytest.approx(row["start"] - before, abs=0.01)

    refused = host.cli("capture", "start", "always")
    assert refused.returncode == 1
    assert "on_demand: true" in refused.stderr
    assert "no capture 'nobody'" in host.cli("capture", "stop", "nobody").stderr


def _rows(host: Host, capture: str) -> list[dict[str, Any]]:
    return [r for r in json.loads(host.cli("recordings", "-o", "json").stdout) if r["capture"] == capture]


def test_segments_follow_one_another_and_gaps_have_reasons(vidops_host: Start) -> None:
    host = vidops_host(STACK.format(policy="on_demand: true"))
    host.until(lambda: len(finished(host, "always")) >= 3, what="three segments")
    # The first restart is at once, and may miss no frame; the second one waits for half a second.
    first = host.pid("capture/always")
    os.kill(first, signal.SIGKILL)
    os.kill(
        host.until(lambda: host.pid("capture/always") not in (0, first) and host.pid("capture/always")), signal.SIGKILL
    )
    host.until(lambda: any(r["gap"] for r in finished(host, "always")), what="a segment after a gap")
    rows = finished(host, "always")[::-1]
    assert all(r["codec"] == "mjpeg" and r["frames"] > 0 for r in rows)
    for before, row in pairwise(rows):
        if row["gap"]:
            assert row["start"] - before["end"] == pytest.approx(row["gap"], abs=0.01)
            assert row["gap"] < 2
            assert row["gap_reason"] in ("Restarting", "Restarted", "Starting")
        else:
            # To less than a frame.
            assert row["start"] == pytest.approx(before["end"], abs=0.1)
            assert row["frames"] == pytest.approx(10 * (row["end"] - row["start"]), abs=1.5)
    assert [bool(r["gap"]) for r in rows].count(True) in (1, 2)


def test_frames_that_are_missing_within_a_segment_are_told(vidops_host: Start) -> None:
    """A camera that stalls and comes back, while its recorder goes on."""
    stack = STACK.format(policy="on_demand: true").replace(
        "cam: {source: testsrc,", "cam: {source: testsrc, stall_timeout: 1s,"
    )
    # Files are cut by the clock on the wall: this one is not, but at midnight.
    host = vidops_host(stack.replace('duration: 1s, path: "always', 'duration: 24h, path: "always'))
    host.until(lambda: host.health("capture/always") == "Healthy", what="it records")
    source, recorder = host.pid("source/cam"), host.pid("capture/always")
    os.kill(source, signal.SIGSTOP)
    host.until(lambda: host.pid("source/cam") not in (0, source), what="another source")
    host.healthy()
    assert host.pid("capture/always") == recorder
    os.kill(recorder, signal.SIGTERM)
    row = host.until(lambda: next(iter(finished(host, "always")), None), what="a finished segment")
    (hole,) = row["holes"]
    assert row["start"] < hole["start"] < hole["end"] < row["end"]
    assert 1.0 < hole["end"] - hole["start"] < 4.0
    assert hole["reason"].startswith("Camera"), hole
    lines = json.loads(host.cli("recordings", "timeline", "cam", "-o", "json").stdout)
    line = next(line for line in lines if line["capture"] == "always")
    assert hole in line["gaps"]
    assert line["spans"][0]["end"] == hole["start"]
    assert line["spans"][1]["start"] == hole["end"]


@pytest.mark.long
def test_a_schedule_starts_and_stops(vidops_host: Start) -> None:
    # A window that opened an hour ago and closes in a few seconds, by clocks of UTC.
    ends = time.gmtime(time.time() + 12)
    begins = time.gmtime(time.time() - 3600)
    window = f'{{from: "{time.strftime("%H:%M:%S", begins)}", to: "{time.strftime("%H:%M:%S", ends)}", timezone: UTC}}'
    host = vidops_host(STACK.format(policy=f"schedule: {window}"))
    host.until(lambda: host.pid("capture/other"), what="a recorder inside its window")
    host.until(lambda: other(host) == ("Suspended", "OutsideSchedule", 0), timeout=25, what="the window's end")
    row = next(r for r in json.loads(host.cli("capture", "list", "-o", "json").stdout) if r["name"] == "other")
    assert not row["records"]
    assert row["until"] == pytest.approx(time.time() + 86400 - 3600, abs=120)
    # Editing it is live, and as good as the clock.
    host.write(STACK.format(policy="schedule: []"))
    host.until(lambda: host.health("capture/other") == "Healthy", what="it records always now")


@pytest.mark.long
def test_retention_is_live_and_keeps_what_is_kept(vidops_host: Start) -> None:
    host = vidops_host(STACK.format(policy="retention: {max_age: 1h}"))
    oldest = host.until(lambda: finished(host, "other"), what="a finished segment")[-1]["path"]
    kept = host.cli("recordings", "keep", oldest)
    assert kept.returncode == 0, kept.stderr
    host.until(lambda: len(finished(host, "other")) >= 4, what="some more of them")
    before = host.pid("capture/other")

    host.write(STACK.format(policy="retention: {max_age: 2s}"))
    host.until(lambda: host.status()["stack"]["revision"] == 2, what="the edit")
    host.until(lambda: len(finished(host, "other")) <= 4, what="the old ones are gone")
    assert host.pid("capture/other") == before
    paths = {row["path"] for row in finished(host, "other")}
    assert oldest in paths
    assert all(os.path.exists(f"{host.layout.data_dir}/{path}") for path in paths)
    # The other capture has no limit.
    assert len(finished(host, "always")) >= 4
    assert host.cli("recordings", "keep", "no/such.mp4").returncode == 1

    assert host.cli("recordings", "keep", "--off", oldest).returncode == 0
    host.until(lambda: oldest not in {row["path"] for row in finished(host, "other")}, what="it goes like the others")
    gone = finished(host, "always")[-1]["path"]
    deleted = host.cli("recordings", "delete", gone)
    assert deleted.returncode == 0, deleted.stderr
    assert not Path(host.layout.data_dir, gone).exists()
    assert gone not in {row["path"] for row in finished(host, "always")}


@pytest.mark.parametrize("rule", ["max_size: 1KiB", "min_free: 100000TiB"])
def test_a_retention_that_keeps_nothing_is_told(vidops_host: Start, rule: str) -> None:
    host = vidops_host(STACK.format(policy=f"retention: {{{rule}}}"))
    host.until(lambda: other(host)[:2] == ("Degraded", "NothingKept"), what="the condition")
    assert rule.partition(":")[0] in host.resource("capture/other")["message"]
    recorder = host.pid("capture/other")
    assert host.health("capture/always") == "Healthy"
    host.write(STACK.format(policy="retention: {max_size: 1GiB}"))
    host.until(lambda: other(host) == ("Healthy", "Running", recorder), what="files that stay")
    assert finished(host, "other")


MANY_WAYS = """\
apiVersion: vidops/v1
devices:
  cam: {source: testsrc, mode: {video_size: 320x180, framerate: 10}}
captures:
  turned:
    device: cam
    codec: {video: libx264, crf: 30, preset: ultrafast}
    rotate: 90
    segment: {duration: 2s, path: "turned/%s"}
  stream:
    device: cam
    codec: {video: libx264, bitrate: 200k}
    segment: {duration: 2s, format: ts, path: "stream/%s"}
  dated:
    device: cam
    codec: {video: libx264}
    overlay: {position: bottom-right, size: 20}
    utc: true
    segment: {duration: 2s, format: mkv, path: "dated/%s"}
"""


@pytest.mark.long
def test_encoded_recordings_are_what_was_asked_for(vidops_host: Start) -> None:
    host = vidops_host(MANY_WAYS)
    for name, size in (("turned", (180, 320)), ("stream", (320, 180)), ("dated", (320, 180))):
        # The first began in the middle. Of a busy host, another may be cut late: the next is shorter then.
        row = host.until(
            lambda name=name: next((r for r in finished(host, name)[:-1] if abs(r["frames"] - 20) <= 1), None),
            timeout=40,
            what=f"a whole file of {name}",
        )
        video = probed(f"{host.layout.data_dir}/{row['path']}")
        assert (video["codec_name"], video["width"], video["height"]) == ("h264", *size)
        assert int(video["nb_read_packets"]) == row["frames"]
        assert video["pix_fmt"] == "yuv420p"
    # Pictures of one moment: files that began in the same second.
    begun = [{Path(row["path"]).stem: row["path"] for row in finished(host, name)} for name in ("dated", "stream")]
    same = max(begun[0].keys() & begun[1].keys())
    dated, plain = (Path(host.layout.data_dir, paths[same]) for paths in begun)
    # Where the text is, the picture is another by more than two encodings differ.
    assert difference(dated, plain, "200:16:112:156") > 3 * difference(dated, plain, "100:16:0:156")


def probed(path: str) -> dict[str, Any]:
    argv = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", path]
    streams = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["streams"]
    found: dict[str, Any] = streams[0]
    return found


def difference(one: Path, other: Path, area: str) -> float:
    """Of the grey values of an area (w:h:x:y) in two videos' first pictures, on average."""
    first, second = (grey(path, area) for path in (one, other))
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)


def grey(path: Path, area: str) -> bytes:
    argv = ["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", "1", "-vf", f"crop={area},format=gray"]
    return subprocess.run([*argv, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout


PACED = """\
apiVersion: vidops/v1
devices:
  cam: {source: testsrc, mode: {video_size: 320x180, framerate: 10}, on_demand: {close_after: 0s}}
  yard: {source: testsrc, mode: {video_size: 320x180, framerate: 10}}
captures:
  stills: {type: snapshot, device: cam, every: 2s, path: "stills/%H-%M-%S"}
  lapse: {type: timelapse, device: yard, every: 1s, fps: 10, duration: 4s, path: "lapse/%s"}
"""


@pytest.mark.long
def test_stills_and_timelapse(vidops_host: Start) -> None:
    host = vidops_host(PACED)
    host.healthy()
    stills = host.until(lambda: f if len(f := finished(host, "stills")) > 3 else None, timeout=30, what="stills")
    for row in stills:
        data = Path(host.layout.data_dir, row["path"]).read_bytes()
        assert data.startswith(b"\xff\xd8")
        assert data.endswith(b"\xff\xd9")
        assert row["gap"] == 0
    # At whole multiples by the clock, but for the first one, which was taken at once.
    assert [int(row["start"]) % 2 for row in stills[:-1]] == [0] * (len(stills) - 1)
    lapse = host.until(lambda: f if len(f := finished(host, "lapse")) > 1 else None, timeout=30, what="a timelapse")
    video = probed(f"{host.layout.data_dir}/{lapse[0]['path']}")
    assert (video["codec_name"], video["width"]) == ("mjpeg", 320)
    # A moment that a busy machine misses is left out.
    assert int(video["nb_read_packets"]) == lapse[0]["frames"]
    assert 2 <= lapse[0]["frames"] <= 4
    # Some seconds of the world, a picture each, shown in less than half of one.
    assert lapse[0]["frames"] - 1.5 < lapse[0]["end"] - lapse[0]["start"] < 4.5
    # Nobody watches: between two pictures, the camera may be closed. It makes nothing unhealthy.
    host.healthy()


MOTION = """\
apiVersion: vidops/v1
devices:
  cam: {{source: file, path: {path}}}
captures:
  moves: {{type: motion, device: cam, pre_roll: 1s, post_roll: 2s, threshold: 0.05, path: "moves/%s"}}
"""


@pytest.mark.long
def test_motion_is_recorded_with_what_came_before_and_after(vidops_host: Start, tmp_path: Path) -> None:
    # Grey for six seconds, one in which everything changes, grey again; in circles.
    picture = tmp_path / "scene.mkv"
    graph = (
        "color=c=gray:s=320x180:r=10:d=6[a];mandelbrot=s=320x180:r=10,trim=duration=1,hue=H=8*t[b];"
        "color=c=gray:s=320x180:r=10:d=6[c];[a][b][c]concat=n=3:v=1"
    )
    argv = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", graph, "-c:v", "mjpeg", "-q:v", "4", str(picture)]
    subprocess.run(argv, check=True)
    host = vidops_host(MOTION.format(path=picture))
    host.healthy()
    rows = host.until(lambda: f if len(f := finished(host, "moves")) > 1 else None, timeout=60, what="two clips")
    row = rows[0]
    # A second before, one of motion (its two cuts count as such), two after.
    assert row["end"] - row["start"] == pytest.approx(4, abs=0.8)
    assert row["frames"] == pytest.approx(10 * (row["end"] - row["start"]), abs=3)
    assert row["gap_reason"] == "NoMotion"
    first = grey(Path(host.layout.data_dir, row["path"]), "320:180:0:0")
    assert max(first) - min(first) < 8


REGISTRY = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 320x180, framerate: 10}}}}
captures:
  always: {{device: cam, segment: {{duration: 1s, path: "a/%s"}}}}
  asked: {{device: cam, on_demand: true, segment: {{duration: 1s, path: "b/%s"}}}}
gateways:
  registry:
    bind: 127.0.0.1:{port}
    routes: [{{path: /devices/**, handler: {{type: registry}}}}]
"""


def test_a_registry_tells_of_runners(vidops_host: Start) -> None:
    port = free_port()
    host = vidops_host(REGISTRY.format(port=port))
    host.healthy()

    def device() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/devices/cam", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    found = device()
    assert (found["name"], found["state"], found["width"]) == ("cam", "Online", 320)
    runners = {runner["name"]: runner for runner in found["runners"]}
    assert (runners["always"]["state"], runners["always"]["pid"]) == ("running", host.pid("capture/always"))
    assert (runners["asked"]["state"], runners["asked"]["reason"], runners["asked"]["pid"]) == (
        "stopped",
        "NotAsked",
        None,
    )
    host.kill()
    # Nobody knows of runners now; the device goes on.
    assert device()["runners"] is None
    assert device()["state"] == "Online"

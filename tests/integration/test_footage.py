"""Recordings as people use them: searched, watched from end to end, exported, kept, deleted."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
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
  plays: {{device: cam, codec: {{video: libx264}}, segment: {{duration: 2s, path: "plays/%s"}}}}
  stream: {{device: cam, codec: {{video: libx264}}, segment: {{duration: 2s, format: ts, path: "stream/%s"}}}}
  plain: {{device: cam, on_demand: true, segment: {{duration: 1s, path: "plain/%s"}}}}
gateways:
  web:
    bind: 127.0.0.1:{port}
    routes: [{{path: /rec/**, handler: {{type: recordings, writable: true}}}}]
"""


class Web:
    """The gateway's recordings."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}/rec"

    def ask(self, path: str, method: str = "GET") -> tuple[int, str, bytes]:
        request = urllib.request.Request(f"{self.base}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers.get("content-type", ""), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("content-type", ""), error.read()

    def rows(self, capture: str) -> list[dict[str, Any]]:
        """Finished ones, oldest first."""
        rows = json.loads(self.ask(f"?capture={capture}&limit=1000")[2])["recordings"]
        return [row for row in rows if row["finished"]][::-1]


@pytest.fixture
def host_and_web(vidops_host: Start) -> tuple[Host, Web]:
    port = free_port()
    host = vidops_host(STACK.format(port=port))
    host.healthy()
    return host, Web(port)


def middle(row: dict[str, Any]) -> float:
    """A moment within a file, however short: the first one ends with the first whole second."""
    return (float(row["start"]) + float(row["end"])) / 2


def packets(url: str) -> int:
    """Pictures that an independent player gets."""
    argv = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "v", "-show_entries"]
    argv += ["stream=nb_read_packets", "-of", "csv=p=0", url]
    return int(
        subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split()[0].strip(",")
    )


def test_playlists_are_played_across_segments(host_and_web: tuple[Host, Web]) -> None:
    host, web = host_and_web
    for capture in ("plays", "stream"):
        host.until(lambda capture=capture: len(web.rows(capture)) >= 3, timeout=40, what=f"three files of {capture}")
        rows = web.rows(capture)[:3]
        begin, end = middle(rows[0]), middle(rows[-1])
        query = f"?view=hls&capture={capture}&from={begin}&to={end}"
        status, kind, text = web.ask(query)
        assert (status, kind) == (200, "application/vnd.apple.mpegurl")
        assert text.count(b"#EXTINF") == 3
        # ffprobe wants a name it knows; a query is part of a name to it.
        assert packets(f"{web.base}{query}&.m3u8") == sum(row["frames"] for row in rows)
    for query, reason in (
        (f"?view=hls&from=0&to={time.time()}", "SeveralCaptures"),
        ("?view=hls&from=0&to=10", "NothingRecorded"),
    ):
        assert json.loads(web.ask(query)[2])["reason"] == reason


def test_timeline_thumbnail_keep_and_delete(host_and_web: tuple[Host, Web]) -> None:
    host, web = host_and_web
    for _ in range(2):
        before = len(web.rows("plain"))
        assert host.cli("capture", "start", "plain").returncode == 0
        host.until(lambda before=before: len(web.rows("plain")) > before + 1, what="some files")
        assert host.cli("capture", "stop", "plain").returncode == 0
    rows = web.rows("plain")
    (line,) = json.loads(web.ask(f"?view=timeline&capture=plain&from=0&to={time.time()}")[2])["timeline"]
    assert (line["capture"], line["camera"]) == ("plain", "cam")
    # A busy machine may miss frames here and there: that is told, too.
    (gap,) = (gap for gap in line["gaps"] if gap["reason"] == "NotAsked")
    spans = line["spans"]
    assert any(span["end"] == pytest.approx(gap["start"], abs=0.01) for span in spans)
    assert any(span["start"] == pytest.approx(gap["end"], abs=0.01) for span in spans)
    assert spans[0]["start"] == pytest.approx(rows[0]["start"], abs=0.01)
    # By time alone, from the middle of one to the middle of another.
    chosen = host.cli("recordings", "--capture", "plain", "--from", _iso(middle(rows[0])), "-o", "json")
    assert {r["path"] for r in json.loads(chosen.stdout)} >= {r["path"] for r in rows[:2]}
    shown = host.cli("recordings", "timeline", "--capture", "plain", "--from", "-10m").stdout
    assert "missing: NotAsked" in shown
    assert "NotPlayable" in json.loads(web.ask(f"?view=hls&capture=plain&from=0&to={time.time()}")[2])["reason"]

    status, kind, image = web.ask(f"/{rows[0]['path']}?thumbnail=160")
    assert (status, kind, image[:2], image[-2:]) == (200, "image/jpeg", b"\xff\xd8", b"\xff\xd9")

    assert web.ask(f"/{rows[0]['path']}?keep=true", "POST")[0] == 204
    assert web.rows("plain")[0]["kept"]
    assert web.ask(f"/{rows[1]['path']}", "DELETE")[0] == 204
    assert rows[1]["path"] not in {r["path"] for r in web.rows("plain")}
    assert not Path(host.layout.data_dir, rows[1]["path"]).exists()
    assert web.ask(f"/{rows[1]['path']}", "DELETE")[0] == 404


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(moment)) + f".{int(moment % 1 * 1000):03}"


@pytest.mark.long
def test_export_is_the_span_that_was_asked_for(host_and_web: tuple[Host, Web]) -> None:
    host, web = host_and_web
    assert host.cli("capture", "start", "plain").returncode == 0
    # The first one begins anywhere in its second, and may be too short.
    rows = host.until(lambda: r if len(r := web.rows("plain")) > 5 else None, what="six files")[1:5]
    assert all(b["start"] == pytest.approx(a["end"], abs=0.02) for a, b in pairwise(rows))
    begin, end = rows[0]["end"] - 0.5, rows[3]["start"] + 0.5
    target = host.root / "out.mp4"
    asked = ("recordings", "export", "cam", "--capture", "plain", "--from", _iso(begin), "--to", _iso(end))
    result = host.cli(*asked, "-o", str(target))
    assert result.returncode == 0, result.stderr
    told = re.search(r": ([0-9.]+)s of 4 recordings", result.stdout)
    assert told is not None
    assert float(told[1]) == pytest.approx(end - begin, abs=0.15)
    # Every frame is a key frame: the cut is exact, to one at either end.
    assert packets(str(target)) == pytest.approx(10 * (end - begin), abs=2)
    duration = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(target)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert float(duration) == pytest.approx(end - begin, abs=0.25)

    again = host.cli(*asked, "-o", str(target))
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    assert "must end in one of" in host.cli(*asked, "-o", str(host.root / "out.gif")).stderr
    assert "say which one" in host.cli("recordings", "export", "cam", "--from", "-5m", "-o", f"{target}.mkv").stderr
    assert (
        "no video was recorded" in host.cli("recordings", "export", "x", "--from", "-1m", "-o", f"{target}.mkv").stderr
    )
    assert "is no time" in host.cli("recordings", "export", "cam", "--from", "noon", "-o", f"{target}.mkv").stderr
    # A directory that does not take it; and nothing is left of a try.
    assert host.cli(*asked, "-o", "/proc/out.mp4").returncode == 1
    assert [p.name for p in host.root.glob("out*")] == ["out.mp4"]

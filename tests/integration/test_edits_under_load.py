"""A hundred edits under load: nothing that an edit does not name may notice it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from tests.integration.viewer import Load, Viewer, get
from vidops.testing import Host, free_port, wait_until

pytestmark = pytest.mark.integration

EDITS = 100
VIEWERS = 10
STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 320x180, framerate: 15}}}}
captures:
  archive: {{device: cam, segment: {{duration: 5s}}}}
gateways:
  main:
    bind: "127.0.0.1:{port}"
    chain: [access_log]
    routes:
      - {{path: /stream/**, handler: {{type: stream}}}}
      - {{path: /v1/devices/**, handler: {{type: devices}}}}
      - {{path: /edit, handler: {{type: respond, body: "edit {number}"}}}}
"""


def test_a_hundred_edits_under_load(vidops_host: Callable[..., Host], capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    host = vidops_host(STACK.format(port=port, number=0))
    host.healthy()
    before = {f"{r['kind']}/{r['name']}": r["pid"] for r in host.status()["resources"]}
    viewers = [Viewer(port, "cam") for _ in range(VIEWERS)]
    load = Load(port, "/v1/devices")
    try:
        wait_until(lambda: all(len(v.arrivals) > 5 for v in viewers), what="frames for every viewer")
        times = [_edit(host, port, number) for number in range(1, EDITS + 1)]
        wait_until(lambda: host.status()["stack"]["revision"] == EDITS + 1, what="the last revision")
        counts = [len(v.arrivals) for v in viewers]
        wait_until(
            lambda: all(len(v.arrivals) > n for v, n in zip(viewers, counts, strict=True)), what="frames still come"
        )
    finally:
        load.close()
        for viewer in viewers:
            viewer.close()
    assert load.failures == []
    assert load.done > 200
    assert [v.error for v in viewers if v.ended] == []
    after = {f"{r['kind']}/{r['name']}": r["pid"] for r in host.status()["resources"]}
    assert after == before
    p50 = statistics.median(times) * 1000
    with capsys.disabled():
        print(
            f"\n{EDITS} edits to live: p50 {p50:.0f} ms, max {max(times) * 1000:.0f} ms; "
            f"{load.done} requests, 0 failed; {VIEWERS} streams, 0 closed"
        )
    assert p50 < 100


def _edit(host: Host, port: int, number: int) -> float:
    """Save another file, and wait until its answer is served; seconds from the one to the other."""
    begun = time.monotonic()
    host.write(STACK.format(port=port, number=number))
    wanted = f"edit {number}".encode()
    wait_until(lambda: get(port, "/edit")[1] == wanted, timeout=10, every=0.003, what=f"edit {number} live")
    return time.monotonic() - begun

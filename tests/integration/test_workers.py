"""A gateway of several processes: grown, shrunk and killed under load."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.integration.viewer import Load, Viewer, get
from vidops.testing import Host, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.long]
STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 160x120, framerate: 15}}}}
gateways:
  main:
    bind: "127.0.0.1:{port}"
    workers: {workers}
    routes:
      - {{path: /hi, chain: [metrics], handler: {{type: respond, body: hi}}}}
      - {{path: /stream/**, handler: {{type: stream}}}}
      - {{path: /metrics, handler: {{type: metrics}}}}
"""


def gateways(host: Host) -> list[str]:
    return [r["name"] for r in host.status()["resources"] if r["kind"] == "gateway" and r["health"] == "Healthy"]


def test_workers_come_and_go_under_load(vidops_host: Callable[..., Host]) -> None:
    port = free_port()
    host = vidops_host(STACK.format(port=port, workers=1))
    host.healthy()
    load = Load(port, "/hi")
    viewer = Viewer(port, "cam")
    try:
        wait_until(lambda: load.done > 20 and len(viewer.arrivals) > 3, what="answers and frames")
        first = host.resource("gateway/main")["pid"]
        for workers in (3, 2, 4, 1):
            host.write(STACK.format(port=port, workers=workers))
            names = ["main", "main.2", "main.3", "main.4"][:workers]
            host.until(lambda names=names: gateways(host) == names, what=f"{workers} workers")  # type: ignore[misc]
            done, seen = load.done, len(viewer.arrivals)
            wait_until(
                lambda done=done, seen=seen: load.done > done + 20 and len(viewer.arrivals) > seen,  # type: ignore[misc]
                what="answers and frames",
            )
        assert host.resource("gateway/main")["pid"] == first
        assert not viewer.ended
    finally:
        load.close()
        viewer.close()
    assert load.failures == []


def test_another_address_is_opened_by_the_first_and_taken_by_the_others(vidops_host: Callable[..., Host]) -> None:
    """At once, they would all try to open it, and the edit would be refused."""
    port, other = free_port(), free_port()
    host = vidops_host(STACK.format(port=port, workers=4))
    host.healthy()
    names = ["main", "main.2", "main.3", "main.4"]
    pids = [host.resource(f"gateway/{name}")["pid"] for name in names]
    host.write(STACK.format(port=other, workers=4))
    host.until(lambda: _answers(other), what="the other address")
    host.healthy()
    assert host.status()["rejected"] == ""
    assert [host.resource(f"gateway/{name}")["pid"] for name in names] == pids
    assert not _answers(port)


def _answers(port: int) -> bool:
    try:
        return get(port, "/hi") == (200, b"hi")
    except OSError:
        return False


def test_a_worker_that_is_killed_comes_back(vidops_host: Callable[..., Host]) -> None:
    port = free_port()
    host = vidops_host(STACK.format(port=port, workers=3))
    host.healthy()
    for name in ("gateway/main", "gateway/main.2"):
        pid = host.resource(name)["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), what="its end")  # type: ignore[misc]
        for _ in range(10):
            assert get(port, "/hi") == (200, b"hi")
        host.until(lambda name=name, pid=pid: host.resource(name)["pid"] not in (0, pid), what="another process")  # type: ignore[misc]
        host.healthy()
    counted = get(port, "/metrics")[1].decode()
    assert 'vidops_resource_healthy{kind="gateway",name="main.2"} 1.0' in counted

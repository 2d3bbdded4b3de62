"""The main job on real parts: a stack file becomes processes, edits take effect, what is killed comes back."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest

from vidops.testing import Host, free_port, wait_until

pytestmark = pytest.mark.integration

STACK = """\
apiVersion: vidops/v1
metadata: {name: test}
devices:
  cam: {source: testsrc, mode: {video_size: 320x180, framerate: 10}}
captures:
  archive: {device: cam, segment: {duration: 2s, path: "{device}/%H-%M-%S"}}
loopbacks:
  privacy:
    nodes:
      camera: {type: camera, device: cam}
      blur: {type: filter, in: camera, filter: "boxblur=4"}
      out: {type: camera_out, in: blur, name: cam-private}
"""

Start = Callable[..., Host]


def pids(host: Host) -> dict[str, int]:
    return {f"{r['kind']}/{r['name']}": r["pid"] for r in host.status()["resources"]}


def test_a_stack_becomes_healthy_records_and_ends_without_a_trace(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    finished = host.until(lambda: [r for r in _recordings(host) if r["finished"]], what="a finished segment")
    assert (host.root / "data" / str(finished[0]["path"])).stat().st_size == finished[0]["bytes"] > 1000
    assert host.stop() == 0
    assert host.processes() == []
    assert [p for p in _files(host.layout.run_dir) if ".sock" in p] == []
    # What the recorder had begun is filed, too.
    assert all(r["finished"] for r in _recordings(host))


def test_an_unchanged_apply_does_nothing(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    result = host.cli("apply", str(host.stack_path), "--wait")
    assert result.returncode == 0, result.stderr
    assert "No changes" in result.stdout
    assert pids(host) == before
    assert host.cli("plan", str(host.stack_path), "--detailed-exitcode").returncode == 0


def test_an_edit_touches_only_what_its_plan_names(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    host.write(STACK.replace("duration: 2s", "duration: 3s"))
    host.until(lambda: host.status()["stack"]["revision"] == 2, what="revision 2")
    host.healthy()
    after = pids(host)
    assert after["capture/archive"] != before["capture/archive"]
    assert {k: v for k, v in after.items() if k != "capture/archive"} == {
        k: v for k, v in before.items() if k != "capture/archive"
    }


def test_a_live_field_changes_without_a_restart(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    host.write(STACK.replace("%H-%M-%S", "other/%H-%M-%S"))
    host.until(lambda: any("/other/" in str(r["path"]) for r in _recordings(host)), what="a file in the new place")
    assert pids(host) == before


def test_recordings_can_be_moved_by_an_edit(vidops_host: Start) -> None:
    host = vidops_host(STACK, env={"VIDOPS_DATA_DIR": ""})
    host.healthy()
    before = pids(host)
    host.write(STACK + "settings: {data_dir: elsewhere}\n")
    elsewhere = host.root / "elsewhere" / "cam"
    host.until(lambda: elsewhere.exists() and any(elsewhere.iterdir()), what="a recording elsewhere")
    after = pids(host)
    assert {name for name in before if before[name] != after[name]} == {"capture/archive"}
    old = host.root / "state" / "recordings"
    assert not list((old / ".spool" / "archive").glob("*.mp4"))
    assert list((old / "cam").iterdir())


def test_a_bad_edit_keeps_everything_running_and_shows_its_errors(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    host.write(STACK.replace("framerate", "framerat"))
    status = host.until(lambda: s if (s := host.status())["problems"] else None, what="problems in status")
    assert "framerate" in status["problems"][0]["hint"]
    assert pids(host) == before
    host.write(STACK)
    host.until(lambda: not host.status()["problems"], what="no problems any more")
    assert pids(host) == before


def test_two_saves_fifty_milliseconds_apart_end_in_the_second(vidops_host: Start) -> None:
    import time

    host = vidops_host(STACK)
    host.healthy()
    for name in ("one", "two"):
        host.write(STACK.replace("%H-%M-%S", f"{name}/%H-%M-%S"))
        time.sleep(0.05)  # the distance is the test
    host.until(lambda: any("/two/" in str(r["path"]) for r in _recordings(host)), what="the second save in force")


def test_killing_the_control_plane_disturbs_nothing_and_the_next_adopts(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    host.kill()
    assert all(os.path.exists(f"/proc/{pid}") for pid in before.values() if pid)
    host.start()
    host.healthy()
    assert pids(host) == before


@pytest.mark.parametrize("name", ["hub/hub", "source/cam", "capture/archive"])
def test_what_is_killed_comes_back(vidops_host: Start, name: str) -> None:
    host = vidops_host(STACK)
    host.healthy()
    victim = host.pid(name)
    os.kill(victim, signal.SIGKILL)
    host.until(lambda: host.pid(name) not in (0, victim), timeout=5, what=f"{name} again")
    host.healthy()


@pytest.mark.long
def test_a_recorder_that_lives_and_records_nothing_is_replaced(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    victim = host.pid("capture/archive")
    os.kill(victim, signal.SIGSTOP)
    host.until(lambda: host.pid("capture/archive") not in (0, victim), timeout=60, what="another recorder")
    host.healthy()


@pytest.mark.long
def test_a_source_that_lives_and_delivers_nothing_is_replaced(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    victim = host.pid("source/cam")
    os.kill(victim, signal.SIGSTOP)
    host.until(lambda: host.pid("source/cam") not in (0, victim), timeout=30, what="another source")
    host.healthy()


def test_killing_supervisord_heals_without_orphans_or_doubles(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    supervisord = int((host.root / "run" / "supervisor.pid").read_text())
    old = set(host.processes())
    os.kill(supervisord, signal.SIGKILL)
    wait_until(lambda: not old & set(host.processes()), what="all old processes gone")
    host.healthy()
    running = {name: pid for name, pid in pids(host).items() if pid}
    # supervisord itself, and one process a resource that runs: nothing else.
    assert len(host.processes()) == len(running) + 1


def test_a_second_control_plane_says_whose_the_first_is(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    assert host.process is not None
    result = host.cli("run", str(host.stack_path))
    assert result.returncode == 4
    assert str(host.process.pid) in result.stderr
    assert str(host.stack_path) in result.stderr
    assert pids(host) == before


def test_a_camera_that_cannot_work_is_undone(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    bad = STACK.replace("devices:\n", "devices:\n  broken: {source: file, path: /nowhere.mp4, always_on: true}\n")
    host.stack_path.with_name("bad.yaml").write_text(bad)
    result = host.cli("apply", str(host.stack_path.with_name("bad.yaml")))
    assert result.returncode == 1
    assert "source/broken" in result.stderr
    assert "nowhere.mp4" in result.stderr
    assert pids(host) == before
    assert host.status()["stack"]["revision"] == 1


def _recordings(host: Host) -> list[dict[str, object]]:
    import json

    rows: list[dict[str, object]] = json.loads(host.cli("recordings", "-o", "json").stdout)
    return rows


def _files(root: str) -> list[str]:
    return [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]


def test_a_busy_port_is_named_with_its_holder_and_served_once_it_is_free(vidops_host: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        route = "{path: /livez, handler: {type: health}}"
        host = vidops_host(STACK + f'gateways: {{main: {{bind: "127.0.0.1:{port}", routes: [{route}]}}}}\n')
        message = host.until(lambda: host.resource("gateway/main").get("message"), what="a message")
        assert f"127.0.0.1:{port}" in message
        assert f"pid {os.getpid()}" in message
        # Everything else is not held up by it.
        host.until(lambda: host.health("source/cam") == "Healthy", what="the camera")
    host.healthy(timeout=60)


@pytest.mark.long
def test_a_gateway_that_hangs_is_ended_and_started_again(vidops_host: Start) -> None:
    route = "{path: /livez, handler: {type: health}}"
    host = vidops_host(STACK + f'gateways: {{main: {{bind: "127.0.0.1:{free_port()}", routes: [{route}]}}}}\n')
    host.healthy()
    victim = host.pid("gateway/main")
    os.kill(victim, signal.SIGSTOP)
    host.until(lambda: host.pid("gateway/main") not in (0, victim), timeout=60, what="a new gateway")
    host.healthy()


def test_a_start_with_a_bad_file_stops_nothing_that_runs(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    host.kill()
    # Another state directory: nothing is remembered, so there is no revision to fall back on.
    bad = host.stack_path.with_name("bad.yaml")
    bad.write_text(STACK.replace("testsrc", "tstsrc"))
    result = host.cli("--state-dir", f"{host.root}/other", "run", str(bad))
    assert result.returncode == 1
    assert "tstsrc" in result.stderr
    assert all(os.path.exists(f"/proc/{pid}") for pid in before.values() if pid)


def test_a_start_refuses_what_was_refused_and_keeps_what_was_committed(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    before = pids(host)
    bad = STACK.replace("devices:\n", "devices:\n  broken: {source: file, path: /nowhere.mp4}\n")
    host.write(bad)
    host.until(lambda: host.status()["rejected"], what="the refusal")
    host.kill()
    host.start()
    host.until(lambda: host.status()["rejected"], what="the refusal again")
    assert host.status()["stack"]["revision"] == 1
    host.until(lambda: pids(host) == before, what="all as it was")


def test_a_filter_that_ffmpeg_does_not_know_is_undone(vidops_host: Start) -> None:
    host = vidops_host(STACK)
    host.healthy()
    host.write(STACK.replace("boxblur=4", "boxblurr=4"))
    rejected = host.until(lambda: host.status()["rejected"], what="the refusal")
    assert "source/cam-private" in rejected
    assert "boxblurr" in rejected
    host.write(STACK.replace("boxblur=4", "boxblur=5"))
    host.until(lambda: host.status()["stack"]["revision"] == 2, what="the mended file in force")


def test_asked_to_end_while_it_starts_it_ends(vidops_host: Start) -> None:
    host = vidops_host(STACK, start=False)
    host.start(wait=False)
    host.until(lambda: os.path.exists(host.layout.hub_socket), what="the hub")
    assert host.stop(timeout=20) == 0
    assert host.processes() == []

"""The role that users run: provisions a bare host, changes nothing the second time, lets nothing broken through."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import STACK, Provisioning
from .guest import Guest
from .vidops_host import data_plane, settled
from .viewer import get

pytestmark = pytest.mark.lab

UNITS = ("vidops-data.service", "vidops.service")


def test_a_bare_host_becomes_a_camera_host(host: Guest, provisioning: Provisioning) -> None:
    assert provisioning.first.changed > 0
    assert guest_says(host, "systemctl is-active", UNITS) == ["active", "active"]
    assert guest_says(host, "systemctl is-enabled", UNITS) == ["enabled", "enabled"]
    settled(host)


def test_everything_runs_as_its_own_user(host: Guest) -> None:
    for unit in UNITS:
        pids = host.run(f"cat /sys/fs/cgroup/system.slice/{unit}/cgroup.procs").split()
        users = host.run(f"ps -o user= -p {','.join(pids)}").split()
        assert set(users) == {"vidops"}, unit


def test_a_second_run_changes_nothing(host: Guest, provisioning: Provisioning) -> None:
    settled(host)
    before = data_plane(host)
    second = provisioning.again()
    assert (second.changed, second.failed) == (0, 0), second.output
    assert data_plane(host) == before


def test_a_broken_stack_file_reaches_no_running_host(host: Guest, provisioning: Provisioning, tmp_path: Path) -> None:
    settled(host)
    before, live = data_plane(host), host.run("cat /etc/vidops/stack.yaml")
    broken = tmp_path / "stack.yaml"
    broken.write_text(STACK.read_text().replace("framerate: 10", "framrate: 10", 1))
    refused = provisioning.again(vidops_stack=str(broken), tags="stack")
    assert refused.failed == 1
    assert "framerate" in refused.output, "the play shows what vidops check would have instead"
    assert host.run("cat /etc/vidops/stack.yaml") == live
    assert data_plane(host) == before


def test_a_changed_stack_file_is_live_when_the_play_ends(
    host: Guest, provisioning: Provisioning, tmp_path: Path
) -> None:
    """And touches only what it changes: cameras and the recorder run on."""
    settled(host)
    before = data_plane(host)
    changed = tmp_path / "stack.yaml"
    changed.write_text(STACK.read_text().replace("path: /livez", "path: /alive"))
    assert provisioning.again(vidops_stack=str(changed), tags="stack").failed == 0
    try:
        assert http_status(host, "/alive") == 200
        assert http_status(host, "/livez") == 404
        assert data_plane(host) == before
    finally:
        restored = provisioning.again(tags="stack")
    assert (restored.failed, http_status(host, "/livez")) == (0, 200)


def test_the_units_are_sound_and_tight(host: Guest) -> None:
    paths = " ".join(f"/etc/systemd/system/{unit}" for unit in UNITS)
    assert host.run(f"systemd-analyze verify {paths} 2>&1") == ""
    for unit in UNITS:
        # Exposure from 0 (sealed) to 10: below 2 is what a service with network and cameras can reach.
        host.run(f"systemd-analyze security --no-pager --threshold=20 {unit}")


def guest_says(host: Guest, question: str, units: tuple[str, ...]) -> list[str]:
    return host.run(f"{question} {' '.join(units)}").split()


def http_status(host: Guest, path: str) -> int:
    return get(host.http_port, path)[0]

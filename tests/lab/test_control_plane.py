"""The planes under systemd: the control plane's end disturbs nothing; the data plane's end heals, in its own unit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from . import footage
from .guest import Guest, eventually
from .vidops_host import HEALING_SECONDS, data_plane, settled
from .viewer import Viewer

pytestmark = pytest.mark.lab

RELEASES = "/opt/vidops/releases"


def main_pid(host: Guest, unit: str = "vidops.service") -> int:
    return int(host.run(f"systemctl show -p MainPID --value {unit}"))


def kill(host: Guest) -> None:
    host.run(f"kill -9 {main_pid(host)}")


def restart(host: Guest) -> None:
    host.run("systemctl restart vidops.service")


@pytest.fixture
def upgrade(host: Guest) -> Iterator[Callable[[Guest], None]]:
    """As the role does it: another release beside the one in use, the link moved, the control plane restarted."""
    release = host.run("readlink /opt/vidops/current").strip()

    def switch(host: Guest) -> None:
        host.run(
            f"cp -a {release} {RELEASES}/next && grep -rlI {release}/ {RELEASES}/next/bin {RELEASES}/next/pyvenv.cfg"
            f" | xargs sed -i 's,{release}/,{RELEASES}/next/,g'"
            f" && ln -sfn {RELEASES}/next /opt/vidops/current && systemctl restart vidops.service",
            timeout=120,
        )

    yield switch
    host.run(f"ln -sfn {release} /opt/vidops/current && systemctl restart vidops.service && rm -rf {RELEASES}/next")
    settled(host)


@pytest.mark.parametrize("end", ["kill", "restart", "upgrade"])
def test_its_end_disturbs_nothing(host: Guest, end: str, request: pytest.FixtureRequest) -> None:
    ends: dict[str, Callable[[Guest], None]] = {"kill": kill, "restart": restart}
    bring_about = ends.get(end) or request.getfixturevalue(end)
    settled(host)
    before, pid = data_plane(host), main_pid(host)
    known = set(footage.files(host, camera="door"))
    with Viewer(host.http_port, "/stream/door") as door, Viewer(host.http_port, "/stream/yard") as yard:
        moment = door.wait_for(20, within=60)[-1].arrived
        bring_about(host)
        eventually("another control plane", lambda: main_pid(host) not in (0, pid), within=HEALING_SECONDS)
        settled(host)
        door.wait_for(10, within=60)
        # A start keeps both emulated cores busy for seconds: frames may come late then, but they come.
        assert max(door.largest_gap(moment), yard.largest_gap(moment)) < 2.0
    assert data_plane(host) == before, "the new control plane adopted every process"

    def recorded() -> list[str] | None:
        new = [f for f in footage.files(host, camera="door") if f not in known]
        return new if len(new) >= 3 else None

    for path in eventually("the segments around it", recorded, within=60):
        assert footage.probe(host, path).gap < 2.0


def test_a_killed_supervisord_comes_back_in_its_own_unit(host: Guest) -> None:
    """Were the control plane to start one, the data plane would run with the wrong unit's limits, and end with it."""
    settled(host)
    before, pid = data_plane(host), main_pid(host, "vidops-data.service")
    host.run(f"kill -9 {pid}")
    eventually(
        "another supervisord",
        lambda: main_pid(host, "vidops-data.service") not in (0, pid),
        within=HEALING_SECONDS,
    )
    settled(host)
    assert not before.keys() & data_plane(host).keys(), "nothing outlived it"
    control = host.run("cat /sys/fs/cgroup/system.slice/vidops.service/cgroup.procs").split()
    assert control == [str(main_pid(host))], "the control plane's unit holds the control plane and nothing else"
    with Viewer(host.http_port, "/stream/door") as viewer:
        viewer.wait_for(10, within=60)


def test_requests_are_found_in_the_journal(host: Guest) -> None:
    """By fields, each a member of the access log's line."""
    settled(host)
    path = "/v1/devices/nobody"
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"http://127.0.0.1:{host.http_port}{path}?token=hidden", timeout=60)
    query = f"journalctl -o json --output-fields=MESSAGE,PRIORITY,VIDOPS_QUERY,VIDOPS_ROUTE VIDOPS_PATH={path}"

    def entry() -> dict[str, str] | None:
        lines = host.run(f"{query} VIDOPS_STATUS=404 _SYSTEMD_UNIT=vidops-data.service").splitlines()
        return json.loads(lines[-1]) if lines else None

    found = eventually("an entry", entry, within=60)
    assert found["MESSAGE"].startswith(f"GET {path} 404 ")
    assert (found["PRIORITY"], found["VIDOPS_QUERY"]) == ("6", "token=***")
    assert found["VIDOPS_ROUTE"] == "/v1/devices/**"

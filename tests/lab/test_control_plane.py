"""The control plane may die, be restarted or be upgraded: no stream and no recording notices."""

from __future__ import annotations

import pytest

from . import footage
from .guest import Guest, eventually
from .vidops_host import HEALING_SECONDS, data_plane, settled
from .viewer import Viewer

pytestmark = pytest.mark.lab


def main_pid(host: Guest) -> int:
    return int(host.run("systemctl show -p MainPID --value vidops.service"))


@pytest.mark.parametrize("end", ["kill -9 {pid}", "systemctl restart vidops.service"])
def test_its_end_disturbs_nothing(host: Guest, end: str) -> None:
    settled(host)
    before, pid = data_plane(host), main_pid(host)
    known = set(footage.files(host, camera="door"))
    with Viewer(host.http_port, "/stream/door") as door, Viewer(host.http_port, "/stream/yard") as yard:
        moment = door.wait_for(20, within=60)[-1].arrived
        host.run(end.format(pid=pid))
        eventually("another control plane", lambda: main_pid(host) not in (0, pid), within=HEALING_SECONDS)
        settled(host)
        door.wait_for(10, within=60)
        # A start keeps both emulated cores busy for seconds: frames may come late then, but they come.
        assert max(door.largest_gap(moment), yard.largest_gap(moment)) < 2.0
    assert data_plane(host) == before, "the new control plane adopted every process"

    def recorded() -> list[str] | None:
        new = [f for f in footage.files(host, camera="door") if f not in known]
        return new if len(new) >= 2 else None

    for path in eventually("the segments around it", recorded, within=60)[:2]:
        assert footage.probe(host, path).gap < 2.0

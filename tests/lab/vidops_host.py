"""Questions to vidops on the guest, asked with its own command line as an operator would."""

from __future__ import annotations

import json
from typing import Any

from .guest import Guest, eventually

HEALING_SECONDS = 90.0
"""Deadline for the host to be as the file says. A matter of a second or two on real hardware."""


def status(guest: Guest) -> dict[str, Any]:
    """`vidops status`: the stack's state and that of each resource."""
    found: dict[str, Any] = json.loads(guest.run("vidops status -o json"))
    return found


def troubles(guest: Guest) -> list[str]:
    """The resources that are not both Synced and Healthy, and why."""
    return [
        f"{name}: {state['sync']}, {state['health']} {state.get('reason', '')} {state.get('message', '')}"
        for name, state in resources(guest).items()
        if (state["sync"], state["health"]) != ("Synced", "Healthy")
    ]


def resources(guest: Guest) -> dict[str, dict[str, Any]]:
    """Status of each resource by `kind/name`."""
    return {f"{r['kind']}/{r['name']}": r for r in status(guest)["resources"]}


def settled(guest: Guest, *, within: float = HEALING_SECONDS) -> None:
    """Wait until everything is as the file says."""
    last: list[str] = []

    def probe() -> bool:
        if not guest.succeeds("vidops status -o json"):
            last[:] = ["vidops status does not answer"]
            return False
        last[:] = troubles(guest)
        return not last

    try:
        eventually("every resource Synced and Healthy", probe, within=within)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from None


def recordings(guest: Guest) -> set[str]:
    """Paths of the finished segments that `vidops recordings` lists, below the data directory."""
    rows = json.loads(guest.run("vidops recordings -n 10000 -o json"))
    return {row["path"] for row in rows if row["finished"]}


def data_plane(guest: Guest) -> dict[int, str]:
    """Every process of the data plane's unit: command line by PID. The same dict means: nothing was restarted."""
    listing = guest.run(
        "for pid in $(cat /sys/fs/cgroup/system.slice/vidops-data.service/cgroup.procs); do"
        " echo $pid $(tr '\\0' ' ' < /proc/$pid/cmdline); done"
    )
    rows = (line.partition(" ") for line in listing.splitlines())
    return {int(pid): command for pid, _, command in rows if command}

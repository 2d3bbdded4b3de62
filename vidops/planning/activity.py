"""Which captures record now, and why the others do not. Pure.

A capture that is not to record is no failure: it is suspended, with a reason. What fills the disk stops first by
priority, and only as much as it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vidops.resources.schedule import is_open, next_change
from vidops.resources.specs import CaptureSpec


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a capture does not record. `until`: when that may be another, Unix seconds; None where nobody knows."""

    reason: str
    message: str
    until: float | None = None


def paused(
    captures: Mapping[str, CaptureSpec], *, now: float, asked: Collection[str], shed: Collection[str]
) -> dict[str, Pause]:
    """The captures that are not to record. `asked`: on-demand ones that were asked to; `shed`: what the disk lacks
    the room for."""
    found: dict[str, Pause] = {}
    for name, spec in captures.items():
        if spec.on_demand and name not in asked:
            found[name] = Pause("NotAsked", f"it records on demand: vidops capture start {name}")
        elif spec.schedule and not is_open(spec.schedule, now):
            found[name] = Pause("OutsideSchedule", "its schedule says not now", next_change(spec.schedule, now))
        elif name in shed:
            found[name] = Pause("DiskFull", "the disk is full: it goes on by itself when there is room again")
    return found


def next_shed(recording: Mapping[str, CaptureSpec]) -> str | None:
    """Which of those that record is stopped next where the disk is full; None where none is left.

    The lowest priority, and of several the last by name, so that the order is the same each time.
    """
    return max(((-spec.priority, name) for name, spec in recording.items()), default=(0, None))[1]


def next_resumed(captures: Mapping[str, CaptureSpec], shed: Collection[str]) -> str | None:
    """Which stopped one goes on first when there is room again: the reverse of `next_shed`."""
    return min(((-spec.priority, name) for name, spec in captures.items() if name in shed), default=(0, None))[1]

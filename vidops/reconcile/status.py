"""What is said of each resource: sync, health, conditions. Pure: from what is desired, applied and observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vidops.planning.activity import Pause
from vidops.planning.plan import Applied
from vidops.ports import ProcessState
from vidops.reconcile.apply import Failure
from vidops.resources.conditions import Condition, Health, Status, Sync
from vidops.resources.resource import JSON, Ref, Resource
from vidops.resources.restart import Backoff, RestartPolicy
from vidops.resources.specs import CaptureSpec, GatewaySpec, HookSpec, LoopbackSpec, SourceSpec, UploadSpec

HEALTH_OF_CAMERA = {
    "Idle": Health.HEALTHY,
    "Online": Health.HEALTHY,
    "Starting": Health.PROGRESSING,
    "Stalled": Health.DEGRADED,
    "Busy": Health.DEGRADED,
    "Failed": Health.DEGRADED,
    "Missing": Health.MISSING,
}
NOT_AS_ASKED = ("ModeMismatch", "ControlRefused")
"""Reasons of a camera that delivers, and not what its entry says."""
_WORST = (Health.SUSPENDED, Health.HEALTHY, Health.PROGRESSING, Health.MISSING, Health.DEGRADED)
"""What is suspended is as it should be: it makes no stack worse."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of one resource. `quiet`: seconds without progress; `begun`: whether there was any;
    `unkept`: why nothing of what a capture records stays."""

    process: ProcessState | None = None
    camera: Mapping[str, Any] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    restarts: int = 0
    quiet: float = 0.0
    begun: bool = True
    failure: Failure | None = None
    error: str = ""
    pause: Pause | None = None
    unkept: str = ""
    facts: JSON = field(default_factory=dict)


def status_of(
    resource: Resource, applied: Applied | None, seen: Seen, *, before: Status | None, now: float, working: bool = False
) -> Status:
    """One resource's status; `before` gives the times of conditions that did not change."""
    sync = Sync.SYNCED if applied and applied.fingerprint == resource.fingerprint else Sync.OUT_OF_SYNC
    health, reason, message = _health(resource, seen)
    if seen.failure is not None:
        health, reason, message = Health.DEGRADED, seen.failure.reason, seen.failure.message
    elif applied is None:
        health, reason, message = Health.PROGRESSING, "Pending", "not applied yet"
    looping = reason == "CrashLoop" or (seen.failure is not None and not seen.failure.temporary)
    status = Status(
        sync=sync,
        health=health,
        reason=reason,
        message=message,
        pid=seen.process.pid if seen.process and seen.process.running else 0,
        restarts=seen.restarts,
        observed_generation=applied.generation if applied else 0,
        conditions=before.conditions if before else (),
        facts=dict(seen.facts),
    )
    for kind, true in (("Ready", health is Health.HEALTHY), ("Reconciling", working), ("Stalled", looping)):
        said = (reason, message) if kind != "Reconciling" else ("", "")
        status = status.with_condition(Condition(kind, "True" if true else "False", *said, last_transition_time=now))
    if isinstance(resource.spec, SourceSpec):
        several = str(resource.spec.description.get("ambiguous") or "")
        said = ("SeveralDevices", several) if several else ("", "")
        status = status.with_condition(
            Condition("Ambiguous", "True" if several else "False", *said, last_transition_time=now)
        )
    return status


def _health(resource: Resource, seen: Seen) -> tuple[Health, str, str]:
    spec = resource.spec
    if isinstance(spec, SourceSpec):
        return _camera_health(spec, seen)
    if seen.pause is not None:
        # A disk that is full or away is nobody's wish.
        health = Health.DEGRADED if seen.pause.reason in ("DiskFull", "DiskGone") else Health.SUSPENDED
        return health, seen.pause.reason, seen.pause.message
    if isinstance(spec, HookSpec):
        error = str(seen.facts.get("error") or "")
        return (Health.DEGRADED, "NotDelivered", error) if error else (Health.HEALTHY, "Listening", "")
    process = seen.process
    if process is None or process.stopped:
        policy: RestartPolicy = getattr(spec, "restart", RestartPolicy())
        text = seen.error or (f"ended with exit status {process.exit_status}" if process else "not started yet")
        if seen.backoff.crash_looping(policy):
            return Health.DEGRADED, "CrashLoop", f"{text}; {seen.backoff.failures} failures in a row"
        return Health.PROGRESSING, "Restarting", text
    if isinstance(spec, GatewaySpec) and not seen.begun:
        return Health.PROGRESSING, "Starting", "it runs and does not serve yet"
    if isinstance(spec, GatewaySpec) and seen.facts.get("error"):
        return Health.DEGRADED, "NotRenewed", str(seen.facts["error"])
    if isinstance(spec, UploadSpec) and seen.facts.get("error"):
        return Health.DEGRADED, "NotUploaded", str(seen.facts["error"])
    if isinstance(spec, CaptureSpec | LoopbackSpec):
        return _reader_health(spec, seen)
    return Health.HEALTHY, "Running", ""


def _reader_health(spec: CaptureSpec | LoopbackSpec, seen: Seen) -> tuple[Health, str, str]:
    """Of what takes a camera's frames and runs."""
    camera = (seen.camera or {}).get("state", "")
    sparse = isinstance(spec, CaptureSpec) and spec.sparse
    if camera != "Online" and not (sparse and camera == "Idle"):
        word = camera or "unknown"
        said = str((seen.camera or {}).get("message") or "")
        return (
            Health.PROGRESSING if camera in ("Starting", "Idle", "") else Health.DEGRADED,
            f"Camera{word.capitalize()}",
            f"its camera {spec.camera} is {word.lower()}" + (f": {said}" if said else ""),
        )
    if not sparse and seen.quiet > spec.stall_timeout:
        return Health.DEGRADED, "Stalled", f"no progress for {seen.quiet:.0f}s"
    if not sparse and not seen.begun:
        return Health.PROGRESSING, "Starting", "it runs and has not done anything yet"
    if seen.unkept:
        return Health.DEGRADED, "NothingKept", seen.unkept
    return Health.HEALTHY, "Running", ""


def _camera_health(spec: SourceSpec, seen: Seen) -> tuple[Health, str, str]:
    if seen.camera is None:
        return Health.PROGRESSING, "HubUnknown", "the hub has not told of it yet"
    state = str(seen.camera.get("state", ""))
    health = HEALTH_OF_CAMERA.get(state, Health.PROGRESSING)
    reason = str(seen.camera.get("reason") or state)
    if reason in NOT_AS_ASKED:
        health = Health.DEGRADED
    return health, reason, str(seen.camera.get("message") or "")


def overall(statuses: Iterable[Status]) -> tuple[Sync, Health]:
    """A stack's two axes: the worst of its resources'."""
    sync, health = Sync.SYNCED, Health.HEALTHY
    for status in statuses:
        if status.sync is Sync.OUT_OF_SYNC:
            sync = Sync.OUT_OF_SYNC
        health = max(health, status.health, key=_WORST.index)
    return sync, health


def to_json(ref: Ref, status: Status, origin: str) -> JSON:
    return {"kind": ref.kind, "name": ref.name, "origin": origin, **status.to_json()}

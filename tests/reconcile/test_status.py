"""Statuses from what is desired, applied and observed: a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.reconcile.world import capture, gateway, hub, source
from vidops.planning.plan import Applied
from vidops.ports import ProcessState
from vidops.reconcile.apply import Failure
from vidops.reconcile.status import Seen, overall, status_of
from vidops.resources.conditions import Health, Status, Sync
from vidops.resources.resource import Resource
from vidops.resources.restart import Backoff

RUNNING = ProcessState("x", "RUNNING", pid=7)
ENDED = ProcessState("x", "EXITED", exit_status=1)
ONLINE = {"state": "Online", "reason": "Online"}


def look(resource: Resource, seen: Seen, *, applied: bool = True) -> Status:
    inventory = Applied(resource.ref, resource.data, resource.fingerprint) if applied else None
    return status_of(resource, inventory, seen, before=None, now=1.0)


CASES: list[tuple[Resource, dict[str, Any], Health, str]] = [
    (hub(), {"process": RUNNING}, Health.HEALTHY, "Running"),
    (hub(), {"process": ENDED}, Health.PROGRESSING, "Restarting"),
    (hub(), {"process": None}, Health.PROGRESSING, "Restarting"),
    (gateway(), {"process": ENDED, "backoff": Backoff(failures=9)}, Health.DEGRADED, "CrashLoop"),
    (gateway(), {"process": RUNNING}, Health.HEALTHY, "Running"),
    (gateway(), {"process": RUNNING, "begun": False}, Health.PROGRESSING, "Starting"),
    (source(), {"camera": None}, Health.PROGRESSING, "HubUnknown"),
    (source(), {"camera": {"state": "Idle", "reason": "Idle"}}, Health.HEALTHY, "Idle"),
    (source(), {"camera": ONLINE}, Health.HEALTHY, "Online"),
    (source(), {"camera": {"state": "Missing", "reason": "DeviceMissing"}}, Health.MISSING, "DeviceMissing"),
    (source(), {"camera": {"state": "Failed", "reason": "CrashLoop"}}, Health.DEGRADED, "CrashLoop"),
    (source(), {"camera": {"state": "Busy", "reason": "Busy"}}, Health.DEGRADED, "Busy"),
    (source(), {"camera": {"state": "Failed", "reason": "ModeUnsupported"}}, Health.DEGRADED, "ModeUnsupported"),
    (source(), {"camera": {"state": "Online", "reason": "ModeMismatch"}}, Health.DEGRADED, "ModeMismatch"),
    (source(), {"camera": {"state": "Idle", "reason": "ControlRefused"}}, Health.DEGRADED, "ControlRefused"),
    (source(), {"camera": {"state": "Stalled", "reason": "Stalled"}}, Health.DEGRADED, "Stalled"),
    (capture(), {"process": RUNNING, "camera": ONLINE}, Health.HEALTHY, "Running"),
    (capture(), {"process": RUNNING, "camera": ONLINE, "unkept": "a reason"}, Health.DEGRADED, "NothingKept"),
    (capture(), {"process": RUNNING, "camera": ONLINE, "quiet": 60.0}, Health.DEGRADED, "Stalled"),
    (capture(), {"process": RUNNING, "camera": ONLINE, "begun": False}, Health.PROGRESSING, "Starting"),
    (capture(), {"process": RUNNING, "camera": {"state": "Failed"}}, Health.DEGRADED, "CameraFailed"),
    (capture(), {"process": RUNNING, "camera": {"state": "Starting"}}, Health.PROGRESSING, "CameraStarting"),
]


@pytest.mark.parametrize(("resource", "seen", "health", "reason"), CASES)
def test_health(resource: Resource, seen: dict[str, Any], health: Health, reason: str) -> None:
    status = look(resource, Seen(**seen))
    assert (status.health, status.reason) == (health, reason)
    ready = next(c for c in status.conditions if c.type == "Ready")
    assert ready.status == ("True" if health is Health.HEALTHY else "False")


def test_several_devices_that_fit_are_a_condition() -> None:
    plain = look(source(), Seen(camera=ONLINE))
    assert next(c for c in plain.conditions if c.type == "Ambiguous").status == "False"
    told = source()
    spec = told.spec.model_copy(update={"description": {"ambiguous": "2 devices match"}})
    (condition,) = [c for c in look(replace(told, spec=spec), Seen(camera=ONLINE)).conditions if c.type == "Ambiguous"]
    assert (condition.status, condition.reason, condition.message) == ("True", "SeveralDevices", "2 devices match")


def test_a_failure_goes_before_what_is_seen() -> None:
    failure = Failure(hub().ref, "SpawnError", "it does not start", temporary=True)
    status = look(hub(), Seen(process=RUNNING, failure=failure))
    assert (status.health, status.reason, status.message) == (Health.DEGRADED, "SpawnError", "it does not start")


def test_what_is_not_applied_is_pending_and_out_of_sync() -> None:
    status = look(hub(), Seen(), applied=False)
    assert (status.sync, status.reason) == (Sync.OUT_OF_SYNC, "Pending")


def test_a_permanent_failure_and_a_crash_loop_are_stalled() -> None:
    for seen in (
        Seen(process=ENDED, backoff=Backoff(failures=9)),
        Seen(failure=Failure(hub().ref, "Bad", "bad", temporary=False)),
    ):
        stalled = next(c for c in look(hub(), seen).conditions if c.type == "Stalled")
        assert stalled.status == "True"


def test_a_conditions_time_moves_only_with_its_status() -> None:
    resource = hub()
    applied = Applied(resource.ref, resource.data, resource.fingerprint)
    first = status_of(resource, applied, Seen(process=RUNNING), before=None, now=1.0)
    second = status_of(resource, applied, Seen(process=RUNNING), before=first, now=2.0)
    third = status_of(resource, applied, Seen(process=ENDED), before=second, now=3.0)
    times = [next(c.last_transition_time for c in s.conditions if c.type == "Ready") for s in (first, second, third)]
    assert times == [1.0, 1.0, 3.0]


def test_a_stack_is_as_its_worst_resource() -> None:
    good, missing = look(source(), Seen(camera=ONLINE)), look(source(), Seen(camera={"state": "Missing"}))
    assert overall([good]) == (Sync.SYNCED, Health.HEALTHY)
    assert overall([good, missing]) == (Sync.SYNCED, Health.MISSING)
    assert overall([good, look(hub(), Seen(), applied=False)])[0] is Sync.OUT_OF_SYNC
    assert overall([]) == (Sync.SYNCED, Health.HEALTHY)

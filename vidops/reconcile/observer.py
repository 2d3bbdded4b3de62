"""Observing: process states from events, cameras from the hub, progress from spools; and the status made of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vidops.errors import Problem
from vidops.ports import ProcessEvent, ProcessState
from vidops.reconcile.compiler import KIND_OF_SECTION
from vidops.reconcile.engine import Engine
from vidops.reconcile.status import Seen, overall, status_of, to_json
from vidops.resources.conditions import Health, Status, Sync
from vidops.resources.resource import JSON, Ref, Resource
from vidops.resources.specs import CaptureSpec, GatewaySpec, HookSpec, LoopbackSpec, SourceSpec, UploadSpec

UNKNOWN = Status()
ON_ITS_WAY = ("Pending", "Starting", "Restarting", "CameraStarting")
REMEMBERED = 5000
"""Changes of status that are kept in memory."""
HEALED_HERE = ("capture", "loopback")
"""Kinds whose progress is watched here; cameras' is by the hub."""


@dataclass(slots=True)
class Progress:
    """How much something had done when it was last seen to do more, and how often that was. `at`: monotonic seconds."""

    pid: int
    amount: int
    at: float
    steps: int = 0


@dataclass
class Observer:
    """Holds what was observed last. `consumed(pid)`: frames that the hub delivered to a process so far.
    `turned(ref, before, after)` is told of every change of health or reason. `serving(program)`: the pid of a gateway
    that has answered; 0 before. `trouble(program)`: why a gateway does not serve its newest certificate; empty else."""

    engine: Engine
    consumed: Callable[[int], int]
    turned: Callable[[Ref, Status, Status], None]
    serving: Callable[[str], int]
    trouble: Callable[[str], str] = lambda _: ""
    states: dict[str, ProcessState] = field(default_factory=dict)
    progress: dict[Ref, Progress] = field(default_factory=dict)
    statuses: dict[Ref, Status] = field(default_factory=dict)
    past: deque[tuple[float, Ref, str]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Changes of health or reason, oldest first: Unix time, what, and the reason that it does not work from then on;
    empty where it does."""

    def heard(self, event: ProcessEvent) -> None:
        """A change of a program's state."""
        old = self.states.get(event.program)
        status = old.exit_status if old else 0
        now = self.engine.host.clock.now()
        self.states[event.program] = ProcessState(event.program, event.state, event.pid, status, now)

    async def resync(self) -> None:
        """Read the whole inventory again."""
        self.states = dict(await self.engine.host.processes.inventory())

    def observe(self) -> list[tuple[Resource, Status]]:
        """Every desired resource with its status now."""
        memory = self.engine.memory
        cameras = self.engine.host.cameras()
        desired = memory.pending or memory.compiled
        resources = desired.resources if desired else ()
        now = self.engine.host.clock.now()
        found: dict[Ref, Status] = {}
        for resource in resources:
            found[resource.ref] = status_of(
                resource,
                memory.applied.get(resource.ref),
                self._seen(resource, cameras),
                before=self.statuses.get(resource.ref),
                now=now,
                working=memory.working,
            )
        for ref, status in found.items():
            before = self.statuses.get(ref, UNKNOWN)
            if (before.health, before.reason) != (status.health, status.reason):
                self.past.append((now, ref, "" if status.health is Health.HEALTHY else status.reason))
                self.turned(ref, before, status)
        self.statuses = found
        self.progress = {ref: p for ref, p in self.progress.items() if ref in found}
        return [(r, found[r.ref]) for r in resources]

    def why(self, ref: Ref, begin: float, end: float) -> str:
        """What kept a resource from its work for the longest part of the time between two moments; empty where that
        was not seen. That it was starting again is the reason only where there is no other."""
        spans: dict[str, float] = {}
        reason, since = "", begin
        for moment, whose, then in (*self.past, (end, ref, "")):
            if whose == ref:
                if reason and moment > begin:
                    spans[reason] = spans.get(reason, 0.0) + min(moment, end) - max(since, begin)
                reason, since = then, moment
        return max(spans, key=lambda r: (r not in ON_ITS_WAY, spans[r])) if spans else ""

    def _seen(self, resource: Resource, cameras: Mapping[str, Mapping[str, Any]]) -> Seen:
        ref, spec = resource.ref, resource.spec
        failure = self.engine.memory.failures.get(ref)
        process = self.states.get(ref.program)
        if isinstance(spec, SourceSpec):
            camera = cameras.get(spec.camera)
            restarts = int((camera or {}).get("restarts", 0))
            return Seen(process, camera, restarts=restarts, failure=failure, facts=dict(camera or {}))
        if isinstance(spec, HookSpec):
            return Seen(failure=failure, facts=self.engine.host.hooks.report(ref.name))
        patient = self.engine.healer.patients.get(ref.program)
        seen = Seen(
            process=process,
            backoff=patient.backoff if patient else Seen().backoff,
            restarts=patient.restarts if patient else 0,
            error=patient.error if patient else "",
            failure=failure,
        )
        if isinstance(spec, GatewaySpec):
            begun = process is not None and self.serving(ref.program) == process.pid
            trouble = self.trouble(ref.program)
            return replace(seen, begun=begun, facts={"error": trouble} if trouble else {})
        if isinstance(spec, UploadSpec):
            return replace(seen, facts=self.engine.host.upload_report(ref.name))
        if isinstance(spec, CaptureSpec | LoopbackSpec):
            done = self._amount(spec, process)
            progress = self._progress(ref, process.pid if process else 0, done)
            quiet = self.engine.host.clock.monotonic() - progress.at
            facts: JSON = {"camera": spec.camera, "progress": done}
            if isinstance(spec, CaptureSpec) and (pause := self.engine.host.pause_of(ref.name, spec)):
                return replace(seen, pause=pause, facts={**facts, "until": pause.until})
            unkept = self.engine.host.unkept(ref.name) if isinstance(spec, CaptureSpec) else ""
            return replace(
                seen, camera=cameras.get(spec.camera), quiet=quiet, begun=progress.steps > 0, unkept=unkept, facts=facts
            )
        return seen

    def _amount(self, spec: CaptureSpec | LoopbackSpec, process: ProcessState | None) -> int:
        if isinstance(spec, CaptureSpec):
            return self.engine.host.grown(spec.spool)
        return self.consumed(process.pid) if process else 0

    def _progress(self, ref: Ref, pid: int, amount: int) -> Progress:
        """What this very process has been seen to do."""
        now = self.engine.host.clock.monotonic()
        last = self.progress.get(ref)
        if last is None or last.pid != pid:
            last = self.progress[ref] = Progress(pid, amount, now)
        elif amount != last.amount:
            last.amount, last.at, last.steps = amount, now, last.steps + 1
        return last

    def stalled(self) -> list[str]:
        """Programs that run and make no progress. Each is named once; it has its whole timeout again after that."""
        found = [r for r, status in self.statuses.items() if status.reason == "Stalled" and r.kind in HEALED_HERE]
        for ref in found:
            self.progress.pop(ref, None)
        return [ref.program for ref in found]

    def report(self) -> JSON:
        """`GET /v1/status`."""
        memory = self.engine.memory
        rows = [(r.ref, status, r.origin) for r, status in self.observe()]
        compiled, revision = memory.compiled, memory.revision
        rows.extend(unavailable(compiled.unavailable) if compiled else ())
        sync, health = overall(status for _, status, _ in rows)
        return {
            "stack": {
                "name": compiled.name if compiled else "",
                "path": compiled.path if compiled else "",
                "labels": compiled.labels if compiled else {},
                "revision": revision.number if revision else 0,
            },
            "sync": "OutOfSync" if memory.problems or memory.rejected else sync.value,
            "health": health.value,
            "rejected": memory.rejected,
            "problems": [
                {
                    "file": p.mark.file,
                    "line": p.mark.line,
                    "column": p.mark.column,
                    "path": p.path,
                    "message": p.message,
                    "hint": p.hint,
                }
                for p in memory.problems
            ],
            "resources": [to_json(*row) for row in rows],
            "time": self.engine.host.clock.now(),
        }


def unavailable(left_out: Mapping[tuple[str, str], Problem]) -> Iterator[tuple[Ref, Status, str]]:
    """Entries that were left out since a plugin did not load, as resources that are not there."""
    for (section, name), problem in left_out.items():
        if kind := KIND_OF_SECTION.get(section):
            status = Status(Sync.OUT_OF_SYNC, Health.DEGRADED, reason="PluginBroken", message=str(problem))
            yield Ref(kind, name), status, str(problem.mark)

"""When a camera's source is started and stopped: the rules, without a clock and without a process. Pure.

`decide` looks at what is known of a camera and says what to do next and when to look again. What follows from
doing it is noted by `started`, `ended` and the like. Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

from vidops.resources.restart import Backoff, RestartPolicy


class CameraState(StrEnum):
    IDLE = "Idle"
    STARTING = "Starting"
    ONLINE = "Online"
    STALLED = "Stalled"
    MISSING = "Missing"
    FAILED = "Failed"


class Do(StrEnum):
    """What is to be done now. `END` is a stop for a reason that counts as a failure."""

    NOTHING = "nothing"
    START = "start"
    STOP = "stop"
    END = "end"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stack file says of a camera's source. `close_after` None: always on."""

    program: str | None = None
    fingerprint: str = ""
    missing: str = ""
    close_after: float | None = None
    start_timeout: float = 10.0
    stall_timeout: float = 5.0
    restart: RestartPolicy = field(default_factory=RestartPolicy)


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a camera's source now.

    `running`: a process may be there; `program`, `fingerprint`: what it was started as. `frames`: of this run.
    `wanted_until`: when the last consumer left plus `close_after`; inf while there is one.
    """

    state: CameraState = CameraState.IDLE
    reason: str = ""
    message: str = ""
    running: bool = False
    program: str | None = None
    fingerprint: str = ""
    started_at: float = 0.0
    frames: int = 0
    last_frame: float = 0.0
    wanted_until: float = -inf
    gone: bool = False
    gone_because: str = ""
    backoff: Backoff = field(default_factory=Backoff)
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    do: Do
    look_again: float = inf
    reason: str = ""
    message: str = ""


def wanted(rules: Rules, life: Life, now: float) -> bool:
    """Whether the source should run."""
    return rules.program is not None and (rules.close_after is None or now < life.wanted_until)


def decide(rules: Rules, life: Life, now: float) -> Decision:
    """What to do now."""
    if not life.running:
        if not wanted(rules, life, now):
            return Decision(Do.NOTHING)
        if now >= life.backoff.next_start:
            return Decision(Do.START)
        return Decision(Do.NOTHING, min(life.backoff.next_start, _closing(rules, life)))
    if life.program != rules.program or life.fingerprint != rules.fingerprint:
        return Decision(Do.STOP, reason="Replaced")
    if life.gone:
        return Decision(Do.END, reason="Exited", message=life.gone_because)
    if not wanted(rules, life, now):
        return Decision(Do.STOP, reason="Idle")
    due = life.started_at + rules.start_timeout if not life.frames else life.last_frame + rules.stall_timeout
    if now < due:
        return Decision(Do.NOTHING, min(due, _closing(rules, life)))
    if not life.frames:
        return Decision(Do.END, reason="StartTimeout", message=f"no frame within {rules.start_timeout:g}s of its start")
    return Decision(Do.END, reason="Stalled", message=f"no frame for {rules.stall_timeout:g}s")


def _closing(rules: Rules, life: Life) -> float:
    return inf if rules.close_after is None else life.wanted_until


def starting(rules: Rules, life: Life, now: float) -> Life:
    """It is about to be started. A camera that failed stays `Failed` until a frame shows that it does not."""
    life = replace(
        life,
        running=True,
        program=rules.program,
        fingerprint=rules.fingerprint,
        started_at=now,
        frames=0,
        gone=False,
        gone_because="",
    )
    if life.state in (CameraState.FAILED, CameraState.STALLED):
        return life
    return replace(life, state=CameraState.STARTING, reason="Starting", message="")


def frame(life: Life, now: float) -> Life:
    """A frame came."""
    return replace(
        life,
        state=CameraState.ONLINE,
        reason="Online",
        message="",
        frames=life.frames + 1,
        last_frame=now,
        running=True,
    )


def stopped(rules: Rules, life: Life, now: float) -> Life:
    """It was stopped on purpose, and is gone."""
    life = replace(life, running=False, gone=False, frames=0, program=None, fingerprint="")
    return at_rest(rules, life, now)


def at_rest(rules: Rules, life: Life, now: float) -> Life:
    """The state of a camera whose source does not run and has not failed."""
    if rules.program is None:
        return replace(life, state=CameraState.MISSING, reason="DeviceMissing", message=rules.missing)
    if wanted(rules, life, now):
        return replace(life, state=CameraState.STARTING, reason="Starting", message="")
    return replace(life, state=CameraState.IDLE, reason="Idle", message="")


def ended(rules: Rules, life: Life, now: float, *, reason: str, message: str, chance: float) -> Life:
    """It ended, or was ended, for a reason that counts. A run with frames is not a failure of the camera, yet."""
    ran_for = life.last_frame - life.started_at if life.frames else 0.0
    backoff = life.backoff.failed(rules.restart, now=now, ran_for=ran_for, chance=chance)
    state = CameraState.STARTING if life.frames else CameraState.FAILED
    if reason == "Stalled":
        state = CameraState.STALLED
    if backoff.crash_looping(rules.restart):
        state, message, reason = CameraState.FAILED, f"{message}; {backoff.failures} failures in a row", "CrashLoop"
    return replace(
        life,
        running=False,
        gone=False,
        frames=0,
        program=None,
        fingerprint="",
        state=state,
        reason=reason,
        message=message,
        backoff=backoff,
        restarts=life.restarts + 1,
    )


def demanded(rules: Rules, life: Life, now: float, *, consumers: int) -> Life:
    """The number of consumers changed. The first one after a rest gets a fresh try at once, whatever failed before."""
    if consumers:
        if life.wanted_until == inf:
            return life
        fresh = rules.close_after is not None and now >= life.wanted_until
        life = replace(life, wanted_until=inf)
        if fresh and not life.running:
            life = at_rest(rules, replace(life, backoff=replace(life.backoff, next_start=0.0)), now)
        return life
    return replace(life, wanted_until=now + (rules.close_after or 0.0)) if life.wanted_until == inf else life

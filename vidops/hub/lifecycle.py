"""When a camera's source is started and stopped: the rules, without a clock and without a process. Pure.

`decide` looks at what is known of a camera and says what to do next and when to look again. What follows from
doing it is noted by `starting`, `stopped`, `ended` and the like. Times are monotonic seconds.
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
    BUSY = "Busy"
    MISSING = "Missing"
    FAILED = "Failed"


FAILING = (CameraState.FAILED, CameraState.BUSY)


class Do(StrEnum):
    """What is to be done now. `END` is a stop for a reason that counts as a failure."""

    NOTHING = "nothing"
    START = "start"
    STOP = "stop"
    END = "end"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stack file says of a camera's source. `close_after` None: always on.

    `program` None: there is none, because of `missing` (what was looked for; `reason` is the word for it) or `error`
    (bad words). `device`: the node that the program opens; `size`: WIDTHxHEIGHT that its frames must have.
    """

    program: str | None = None
    fingerprint: str = ""
    missing: str = ""
    reason: str = "DeviceMissing"
    device: str = ""
    size: str = ""
    error: str = ""
    close_after: float | None = None
    start_timeout: float = 10.0
    stall_timeout: float = 5.0
    restart: RestartPolicy = field(default_factory=RestartPolicy)

    def same_program(self, other: Rules) -> bool:
        return (self.program, self.fingerprint, self.error) == (other.program, other.fingerprint, other.error)


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a camera's source now.

    `running`: a process may be there; `program`, `fingerprint`: what it was started as. `gone`: it ended by
    itself, for what that is worth: it is made sure of before another is started. `last_frame`: None before the
    first one of this run. `wanted_until`: when the last consumer left plus `close_after`; inf while there is one.
    `retry_at`: nothing is done before, since supervisord did not answer.
    """

    state: CameraState = CameraState.IDLE
    reason: str = "Idle"
    message: str = ""
    running: bool = False
    program: str | None = None
    fingerprint: str = ""
    started_at: float = 0.0
    last_frame: float | None = None
    gone: bool = False
    gone_because: str = ""
    wanted_until: float = -inf
    retry_at: float = -inf
    backoff: Backoff = field(default_factory=Backoff)
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    do: Do
    look_again: float = inf
    reason: str = ""
    message: str = ""


UNCERTAIN = "?"
"""The fingerprint of a process of which nothing is known but that there may be one: it differs from every other."""


def wanted(rules: Rules, life: Life, now: float) -> bool:
    """Whether the source should run."""
    return rules.program is not None and (rules.close_after is None or now < life.wanted_until)


def stale(rules: Rules, life: Life) -> bool:
    """Whether what runs is not what the rules say."""
    return life.running and (life.program, life.fingerprint) != (rules.program, rules.fingerprint)


def decide(rules: Rules, life: Life, now: float) -> Decision:
    """What to do now."""
    if now < life.retry_at:
        return Decision(Do.NOTHING, life.retry_at)
    if not life.running:
        if not wanted(rules, life, now):
            return Decision(Do.NOTHING)
        if now >= life.backoff.next_start:
            return Decision(Do.START)
        return Decision(Do.NOTHING, min(life.backoff.next_start, _closing(rules, life)))
    if stale(rules, life):
        return Decision(Do.STOP, reason="Replaced")
    if life.gone:
        return Decision(Do.END, reason="Exited", message=life.gone_because)
    if not wanted(rules, life, now):
        return Decision(Do.STOP, reason="Idle")
    if life.last_frame is None:
        due, reason = life.started_at + rules.start_timeout, "StartTimeout"
        message = f"no frame within {rules.start_timeout:g}s of its start"
    else:
        due, reason = life.last_frame + rules.stall_timeout, "Stalled"
        message = f"no frame for {rules.stall_timeout:g}s"
    if now < due:
        return Decision(Do.NOTHING, min(due, _closing(rules, life)))
    return Decision(Do.END, reason=reason, message=message)


def _closing(rules: Rules, life: Life) -> float:
    return inf if rules.close_after is None else life.wanted_until


def _at_rest(rules: Rules, life: Life, now: float) -> Life:
    """The state of a camera whose source does not run and is not failing."""
    if rules.error:
        return replace(life, state=CameraState.FAILED, reason="BadFile", message=rules.error)
    if rules.program is None:
        state = CameraState.MISSING if rules.reason == "DeviceMissing" else CameraState.FAILED
        return replace(life, state=state, reason=rules.reason, message=rules.missing)
    if wanted(rules, life, now):
        return replace(life, state=CameraState.STARTING, reason="Starting")
    return replace(life, state=CameraState.IDLE, reason="Idle")


def applied(old: Rules, rules: Rules, life: Life, now: float) -> Life:
    """The stack file says something else. Another program gets a fresh try, whatever failed before."""
    if not old.same_program(rules):
        life = replace(life, message="", backoff=replace(life.backoff, failures=0, next_start=0.0))
    elif rules.program is not None and life.state not in (CameraState.MISSING, CameraState.IDLE):
        return life
    return life if life.running else _at_rest(rules, life, now)


def demanded(rules: Rules, life: Life, now: float, *, consumers: int) -> Life:
    """The number of consumers changed. The first one after a rest gets a fresh try at once, whatever failed before."""
    if not consumers:
        return replace(life, wanted_until=now + (rules.close_after or 0.0)) if life.wanted_until == inf else life
    if life.wanted_until == inf:
        return life
    fresh = rules.close_after is not None and now >= life.wanted_until
    life = replace(life, wanted_until=inf)
    if fresh and not life.running:
        life = _at_rest(rules, replace(life, message="", backoff=replace(life.backoff, next_start=0.0)), now)
    return life


def looked(rules: Rules, life: Life, now: float) -> Life:
    """Time went by: a failing camera that nobody wants any more rests, and says still what was wrong."""
    waits = life.state in (*FAILING, CameraState.STARTING, CameraState.STALLED)
    return _at_rest(rules, life, now) if not life.running and waits and not wanted(rules, life, now) else life


def starting(rules: Rules, life: Life, now: float) -> Life:
    """It is about to be started. One that is in a crash loop stays `Failed` until a frame shows otherwise."""
    life = replace(
        life,
        running=True,
        program=rules.program,
        fingerprint=rules.fingerprint,
        started_at=now,
        last_frame=None,
        gone=False,
        gone_because="",
    )
    if life.backoff.crash_looping(rules.restart):
        return life
    return replace(life, state=CameraState.STARTING, reason="Starting")


def uncertain(life: Life, program: str) -> Life:
    """A process may be there that nothing is known of: it is stopped before anything else."""
    return replace(life, running=True, program=program, fingerprint=UNCERTAIN, gone=False, last_frame=None)


def unreachable(rules: Rules, life: Life, now: float, *, pause: float, reason: str, message: str) -> Life:
    """supervisord does not do what it should: that is no failure of the camera's. Tried again in `pause` seconds."""
    life = replace(life, retry_at=now + pause)
    if life.state in FAILING or not wanted(rules, life, now):
        return life
    return replace(life, state=CameraState.STARTING, reason=reason, message=message)


def framed(life: Life, now: float, *, mismatch: str = "") -> Life:
    """The first frame of a run came. `mismatch`: what is wrong with its size."""
    reason = "ModeMismatch" if mismatch else "Online"
    return replace(life, state=CameraState.ONLINE, reason=reason, message=mismatch, last_frame=now)


def stalled(life: Life, *, message: str) -> Life:
    """It lives and delivers nothing: told at once, as its end may take a kill."""
    return replace(life, state=CameraState.STALLED, reason="Stalled", message=message)


def stopped(rules: Rules, life: Life, now: float) -> Life:
    """It was stopped on purpose, and is gone."""
    return _at_rest(rules, _gone(life), now)


def ended(rules: Rules, life: Life, now: float, *, reason: str, message: str, chance: float) -> Life:
    """It ended, or was ended, for a reason that counts, and is gone.

    One that may start again at once is `Starting` (or `Stalled`), one that has to wait is `Failed`: a single end
    is no news to a viewer, who has frames again before it could be read.
    """
    ran_for = life.last_frame - life.started_at if life.last_frame is not None else 0.0
    backoff = life.backoff.failed(rules.restart, now=now, ran_for=ran_for, chance=chance)
    state = CameraState.STALLED if reason == "Stalled" else CameraState.STARTING
    if backoff.next_start > now:
        state = CameraState.BUSY if reason == "Busy" else CameraState.FAILED
    if reason != "Busy" and backoff.crash_looping(rules.restart):
        state, reason, message = CameraState.FAILED, "CrashLoop", f"{message} ({backoff.failures} failures in a row)"
    return replace(
        _gone(life), state=state, reason=reason, message=message, backoff=backoff, restarts=life.restarts + 1
    )


def _gone(life: Life) -> Life:
    return replace(
        life, running=False, program=None, fingerprint="", last_frame=None, gone=False, gone_because="", retry_at=-inf
    )

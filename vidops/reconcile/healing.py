"""Healing: a program that is wanted and has ended is started again, with backoff. The policy is pure
(`resources.restart`); this is its memory and its hand.

Sources are not in here: the hub starts and heals those, so that streams heal without the control plane, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from vidops.errors import VidopsError
from vidops.ports import ProcessEvent
from vidops.reconcile.host import Host
from vidops.resources.restart import Backoff, RestartPolicy
from vidops.runtime.tasks import Tasks

HELD_PAUSE = 0.02
ENDED = ("EXITED", "FATAL", "STOPPED", "UNKNOWN")


@dataclass(slots=True)
class Patient:
    """What is remembered of one program. Times are monotonic seconds."""

    backoff: Backoff = field(default_factory=Backoff)
    started: float = 0.0
    ended: float = 0.0
    ran: float = 0.0
    """Seconds that it ran since its last failure, in runs before this one: what others ended is no failure."""
    restarts: int = 0
    error: str = ""
    """What its last end, or the refusal of its last start, was about."""
    ended_again: bool = False
    """An end was heard of while a restart was under way."""
    timer: asyncio.Task[None] | None = None


class Healer:
    """Restarts wanted programs. `policy_of(program)` gives the policy; `changed` is called after each event.

    `held(program)`: it cannot work now, for a reason outside of it. Its end is no failure of its own then, and its
    start waits. `feeder_of(program)`: the program it reads from, if any. While that is away it is held, and an end
    after that one's is no failure of its own, whichever is heard of first.
    """

    def __init__(
        self,
        host: Host,
        policy_of: Callable[[str], RestartPolicy],
        held: Callable[[str], bool],
        changed: Callable[[], None],
        *,
        dice: Callable[[], float] = random.random,
        feeder_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self.host = host
        self.policy_of = policy_of
        self._held_outside = held
        self.feeder_of = feeder_of
        self.changed = changed
        self.dice = dice
        self.patients: dict[str, Patient] = {}
        self.tasks = Tasks()

    def patient(self, program: str) -> Patient:
        return self.patients.setdefault(program, Patient())

    def at_work(self, program: str) -> bool:
        """Whether a program has ended and is being started again."""
        patient = self.patients.get(program)
        return patient is not None and patient.timer is not None

    def held(self, program: str) -> bool:
        feeder = self.feeder_of(program)
        return (feeder is not None and self.at_work(feeder)) or self._held_outside(program)

    def _blameless(self, program: str, patient: Patient) -> bool:
        """Whether what ended had lost what it read from: that was away, or ended since this one was started."""
        feeder = self.patients.get(self.feeder_of(program) or "")
        return self.held(program) or (feeder is not None and feeder.ended > patient.started)

    def forget(self, program: str) -> None:
        """A new spec, or none: its past does not count any more."""
        patient = self.patients.pop(program, None)
        if patient and patient.timer:
            patient.timer.cancel()

    def heard(self, event: ProcessEvent) -> None:
        """Something happened to a program."""
        if event.program not in self.host.wanted:
            self.changed()
            return
        patient = self.patient(event.program)
        now = self.host.clock.monotonic()
        if event.state in ("STARTING", "RUNNING"):
            if patient.started > patient.ended:
                # Nobody told of its end: supervisord's own.
                patient.ran += now - patient.started
            patient.started = now
        elif event.state in ENDED and patient.timer is not None:
            patient.ended_again = True
        elif event.state in ENDED:
            patient.ended = now
            patient.timer = self.tasks.start(self._restart(event.program, patient), f"heal {event.program}")
        self.changed()

    async def check(self) -> None:
        """Compare with the inventory: ends that no event told of are healed too."""
        inventory = await self.host.processes.inventory()
        for program in sorted(self.host.wanted):
            state = inventory.get(program)
            if state is None or state.stopped:
                self.heard(ProcessEvent(program, "EXITED"))

    async def _restart(self, program: str, patient: Patient) -> None:
        try:
            await self._start_again(program, patient)
        finally:
            patient.timer = None
            self.changed()
        if patient.ended_again:
            # That may be the end it was about, told late; or it ended as soon as it was started.
            patient.ended_again = False
            with contextlib.suppress(VidopsError):
                state = await self.host.state_of(program)
                if state is not None and state.stopped:
                    self.heard(ProcessEvent(program, state.state))

    async def _start_again(self, program: str, patient: Patient) -> None:
        """Wait for the backoff, then start, unless it is not wanted any more or runs already."""
        clock = self.host.clock
        if self.feeder_of(program) is not None:
            # The end that caused this one may be told after it.
            await clock.sleep(HELD_PAUSE)
        patient.ran += patient.ended - patient.started if patient.started else 0.0
        if not self._blameless(program, patient):
            ran_for, patient.ran = patient.ran, 0.0
            patient.backoff = patient.backoff.failed(
                self.policy_of(program), now=patient.ended, ran_for=ran_for, chance=self.dice()
            )
            self.changed()
        with contextlib.suppress(VidopsError):
            state = await self.host.state_of(program)
            if state is not None and state.stopped:
                patient.error = await self.host.farewell(program, state.exit_status)
                self.changed()
        while program in self.host.wanted:
            await clock.sleep(max(0.0, patient.backoff.next_start - clock.monotonic()))
            if program not in self.host.wanted:
                return
            if self.held(program):
                await clock.sleep(HELD_PAUSE)
                continue
            try:
                state = await self.host.state_of(program)
                if state is not None and state.running:
                    return
                await self.host.processes.start(program)
            except VidopsError as error:
                patient.error = str(error)
                patient.backoff = patient.backoff.failed(
                    self.policy_of(program), now=clock.monotonic(), ran_for=0.0, chance=self.dice()
                )
                # A refused start is not answered at once: it would only be refused again.
                pause = max(patient.backoff.next_start, clock.monotonic() + 0.2)
                patient.backoff = Backoff(patient.backoff.failures, pause)
                continue
            patient.restarts += 1
            return

    async def close(self) -> None:
        """Nothing is started any more."""
        await self.tasks.close()
        self.patients.clear()

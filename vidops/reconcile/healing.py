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
    restarts: int = 0
    error: str = ""
    """What its last end, or the refusal of its last start, was about."""
    ended_again: bool = False
    """An end was heard of while a restart was under way."""
    timer: asyncio.Task[None] | None = None


class Healer:
    """Restarts wanted programs. `policy_of(program)` gives the policy; `changed` is called after each event.

    `held(program)`: it cannot work now, for a reason outside of it (its hub is away). Its end is no failure of its
    own then, and its start waits.
    """

    def __init__(
        self,
        host: Host,
        policy_of: Callable[[str], RestartPolicy],
        held: Callable[[str], bool],
        changed: Callable[[], None],
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.host = host
        self.policy_of = policy_of
        self.held = held
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
            patient.started = now
        elif event.state in ENDED and patient.timer is not None:
            patient.ended_again = True
        elif event.state in ENDED:
            if not self.held(event.program):
                policy = self.policy_of(event.program)
                ran_for = now - patient.started if patient.started else 0.0
                patient.backoff = patient.backoff.failed(policy, now=now, ran_for=ran_for, chance=self.dice())
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

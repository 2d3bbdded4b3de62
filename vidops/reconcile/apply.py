"""Carrying a plan out: batch by batch, each step noted as it is done, and back again where a gate fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from vidops.errors import TemporaryError, VidopsError
from vidops.planning.plan import Action, Applied, Plan, Verb, after, leans, plan, wave_of
from vidops.reconcile.drivers import Driver
from vidops.resources.impact import Impact
from vidops.resources.resource import Ref, Resource
from vidops.resources.specs import CaptureSpec, LoopbackSpec, SourceSpec

SIDE_BY_SIDE = 16
"""Steps of one batch that are under way at once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that could not be taken, or a gate that did not open."""

    ref: Ref
    reason: str
    message: str
    temporary: bool
    delay: float | None = None

    def __str__(self) -> str:
        return f"{self.ref}: {self.reason}: {self.message}"


@dataclass(slots=True)
class Outcome:
    """What came of a plan. `rolled_back`: what failed made everything go back to how it was."""

    plan: Plan
    failures: list[Failure] = field(default_factory=list)
    rolled_back: bool = False
    rollback_failures: list[Failure] = field(default_factory=list)


class Applier:
    """Takes steps. `noted(action)` is called after each one that was taken, for the inventory."""

    def __init__(
        self, drivers: Mapping[str, Driver], applied: dict[Ref, Applied], noted: Callable[[Action], None]
    ) -> None:
        self.drivers = drivers
        self.applied = applied
        self.noted = noted

    async def converge(self, steps: Plan) -> Outcome:
        """Take every step that can be taken; what fails does not stop the rest."""
        outcome = Outcome(steps)
        for batch in steps.batches():
            outcome.failures.extend(await self._batch(batch))
        return outcome

    async def transact(self, steps: Plan, before: Sequence[Resource]) -> Outcome:
        """Take the steps and wait for the health gates; at the first failure go back to `before`."""
        outcome = Outcome(steps)
        for batch in steps.batches():
            outcome.failures.extend(await self._batch(batch))
            if outcome.failures:
                break
        if not outcome.failures:
            outcome.failures.extend(await self._gates(gated(steps)))
        if outcome.failures:
            back = await self.converge(plan(before, self.applied))
            # Level by level: what a failed step left half done is put right, too.
            touched = {a.ref for a in steps.actions if a.verb is not Verb.DELETE}
            redo = [r for r in before if r.ref in touched and r.ref in self.applied]
            outcome.rollback_failures = [*back.failures, *await self.restore(redo)]
            outcome.rolled_back = True
        return outcome

    async def restore(self, resources: Iterable[Resource]) -> list[Failure]:
        """Put applied resources back where something took them away (a crash, a reboot); others are not touched.

        The hub first, which all others talk to; those need not wait for one another; but what all workers of a gateway
        listen on is opened by the first of them.
        """
        creations = [Action(Verb.CREATE, r.ref, new=r) for r in resources]
        failures: list[Failure] = []
        for turn in range(3):
            batch = [a for a in creations if _turn(cast(Resource, a.new)) == turn]
            failures.extend(await self._each(batch, lambda a: self.drivers[a.ref.kind].apply(cast(Resource, a.new))))
        return failures

    async def _batch(self, batch: Sequence[Action]) -> list[Failure]:
        return await self._each(batch, self._take)

    async def _take(self, action: Action) -> None:
        driver = self.drivers[action.ref.kind]
        if action.new is None:
            await driver.delete(cast(Applied, action.old))
        else:
            await driver.apply(action.new)
        after(action, self.applied)
        self.noted(action)

    async def _gates(self, resources: Sequence[Resource]) -> list[Failure]:
        steps = [Action(Verb.CREATE, r.ref, new=r) for r in resources]
        return await self._each(steps, lambda a: self.drivers[a.ref.kind].ready(cast(Resource, a.new)))

    async def _each(self, batch: Sequence[Action], work: Callable[[Action], Awaitable[None]]) -> list[Failure]:
        limit = asyncio.Semaphore(SIDE_BY_SIDE)
        failures: list[Failure] = []

        async def one(action: Action) -> None:
            async with limit:
                try:
                    await work(action)
                except VidopsError as error:
                    failures.append(_failure(action.ref, error))
                except OSError as error:
                    failures.append(_failure(action.ref, TemporaryError(str(error), reason="HostError")))

        async with asyncio.TaskGroup() as group:
            for action in batch:
                group.create_task(one(action))
        return sorted(failures, key=lambda f: f.ref)


def _turn(resource: Resource) -> int:
    if wave_of(resource.ref) == 0:
        return 0
    return 2 if resource.ref.kind == "gateway" and leans(resource) else 1


def gated(steps: Plan) -> list[Resource]:
    """What a transaction waits for: cameras, recorders and loopback nodes that were created or replaced.

    Gateways and the hub are waited for by their drivers.
    """
    found = []
    for action in steps.actions:
        new = action.new
        if new is None or (action.verb is Verb.UPDATE and action.impact is not Impact.REPLACE):
            continue
        if isinstance(new.spec, SourceSpec | CaptureSpec | LoopbackSpec):
            found.append(new)
    return found


def _failure(ref: Ref, error: VidopsError) -> Failure:
    reason = getattr(error, "reason", "Error")
    return Failure(ref, reason, str(error), isinstance(error, TemporaryError), getattr(error, "delay", None))

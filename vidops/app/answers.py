"""Who runs, and does it answer? A gateway serves once it does; who no longer does is killed, and so healed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from vidops.errors import TemporaryError, VidopsError
from vidops.reconcile.engine import ApplyError, Engine
from vidops.reconcile.observer import Observer
from vidops.resources.resource import Resource
from vidops.runtime.hubclient import HubClient

log = logging.getLogger("vidops")

ASK_EVERY = 5.0
AWAIT_EVERY = 0.2
"""Seconds between questions to those that answered before, and to a gateway that has not yet."""
PATIENCE = 3
"""Questions in a row that a process may leave unanswered; twice as many after each kill for it, up to `MOST_PATIENCE`:
on a host that is slow for now, one that is killed while it starts would never come up."""
MOST_PATIENCE = 48


class Answers:
    """`consumed`: frames that the hub delivered to each process; `serving`: by program, the pid of each gateway that
    has answered; `troubles`: what each gateway says that it cannot serve, though it serves."""

    def __init__(self, engine: Engine, hub: HubClient, observer: Observer) -> None:
        self.consumed: dict[int, int] = {}
        self.serving: dict[str, int] = {}
        self.troubles: dict[str, str] = {}
        self._engine = engine
        self._hub = hub
        self._observer = observer
        self._unanswered: dict[str, int] = {}
        self._patience: dict[str, int] = {}
        """Of those that were killed, and have not answered since."""

    async def ask(self) -> None:
        """For ever: processes that live and do not answer."""
        while True:
            await asyncio.sleep(ASK_EVERY)
            await asyncio.gather(
                self._ask("hub", self._hub_status),
                *(self._ask(r.ref.program, partial(self._gateway_status, r)) for r in self._gateways()),
            )

    async def await_gateways(self) -> None:
        """For ever: a process that runs is not yet one that serves. A new one is asked until it answers."""
        while True:
            await asyncio.sleep(AWAIT_EVERY)
            for resource in self._gateways():
                program = resource.ref.program
                state = self._observer.states.get(program)
                if state is None or not state.running or self.serving.get(program) == state.pid:
                    continue
                with contextlib.suppress(TemporaryError, TimeoutError):
                    async with asyncio.timeout(1):
                        answer = await self._gateway_status(resource)
                    # Until a new one has taken over, the one that it supplants answers.
                    if answer.get("pid") == state.pid:
                        self.serving[program] = state.pid

    def _gateways(self) -> Iterator[Resource]:
        return (r for r in self._engine.memory.good if r.ref.kind == "gateway")

    async def _gateway_status(self, resource: Resource) -> Mapping[str, Any]:
        answer = await self._engine.host.gateway(resource.ref.name, {"op": "status"})
        self.troubles[resource.ref.program] = str((answer.get("trouble") or {}).get("message", ""))
        return answer

    async def renew(self) -> None:
        """Have every gateway serve the certificates that its files hold now. Raises `ApplyError` with what hinders."""
        said = []
        for resource in self._gateways():
            with contextlib.suppress(TemporaryError):  # one that is not there reads them as it starts
                answer = await self._engine.host.gateway(resource.ref.name, {"op": "renew"})
                if not answer.get("ok"):
                    said.append(f"{resource.ref}: {answer.get('reason')}: {answer.get('error')}")
                await self._gateway_status(resource)
        if said:
            raise ApplyError(f"applied, but certificates were not renewed: {'; '.join(said)}; those before are served")

    async def _hub_status(self) -> Mapping[str, Any]:
        status = await self._hub.status()
        self.consumed = {int(c["pid"]): int(c["frames"]) for c in status.get("consumers", ())}
        return status

    async def _ask(self, program: str, question: Callable[[], Coroutine[Any, Any, Mapping[str, Any]]]) -> None:
        try:
            async with asyncio.timeout(ASK_EVERY):
                await question()
        except (TemporaryError, TimeoutError):
            state = self._observer.states.get(program)
            if state is None or not state.running:
                self._unanswered.pop(program, None)
                return
            count = self._unanswered.get(program, 0) + 1
            self._unanswered[program] = count
            patience = self._patience.get(program, PATIENCE)
            if count >= patience:
                log.warning("%s (pid %d) runs and does not answer: it is killed", program, state.pid)
                self._unanswered.pop(program)
                self._patience[program] = min(2 * patience, MOST_PATIENCE)
                with contextlib.suppress(VidopsError):
                    await self._engine.host.processes.signal(program, "KILL")
        else:
            self._unanswered.pop(program, None)
            self._patience.pop(program, None)

"""One camera's source: what `lifecycle` decides, carried out by one task, so that two things are never done at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf

from vidops.errors import PermanentError, TemporaryError
from vidops.hub import lifecycle
from vidops.hub.devices import advice, device_reason
from vidops.hub.lifecycle import Decision, Do, Life, Rules
from vidops.hub.network import network_reason
from vidops.hub.words import last_words, log_size
from vidops.ports import Processes

log = logging.getLogger("vidops.hub")

RETRY_FIRST, RETRY_MOST = 0.1, 2.0
"""Seconds between questions to a supervisord that does not answer; its return is told by its events, too."""
STOP_TIMEOUT, END_TIMEOUT = 10.0, 1.0
"""Seconds from asking a process to end to killing it: one that does its work, and one that does not."""
AWAY = ("SupervisorDown", "SupervisorBusy", "SupervisorFault", "Stopping")
"""Reasons that say something of supervisord and nothing of the camera."""


class Source:
    """`changed(old, new)` is called at every step of its life; `closed()` when its process is gone for sure;
    `prepare()` is awaited before each start; `mismatch()` says what is wrong with the size of frames that come."""

    def __init__(
        self,
        name: str,
        log_file: str,
        processes: Processes,
        changed: Callable[[Life, Life], None],
        closed: Callable[[], None],
        *,
        prepare: Callable[[], Awaitable[None]],
        mismatch: Callable[[], str],
    ) -> None:
        self.name = name
        self.rules = Rules()
        self.life = Life()
        self.last_frame = 0.0
        """Of this run, monotonic; set with every frame, so it is no step of its life."""
        self._log_file = log_file
        self._log_size = 0
        self._processes = processes
        self._changed = changed
        self._closed = closed
        self._prepare = prepare
        self._mismatch = mismatch
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._suspect = False
        self._ending = False
        self._pause = RETRY_FIRST

    # -- what it is told ---------------------------------------------------------------------------------------

    def apply(self, rules: Rules) -> None:
        """New words of the stack file. A source that was started from other ones is replaced."""
        old, self.rules = self.rules, rules
        self._become(lifecycle.applied(old, rules, self.life, time.monotonic()))
        self._settled.clear()
        self._wake.set()

    def demand(self, consumers: int) -> None:
        self._become(lifecycle.demanded(self.rules, self.life, time.monotonic(), consumers=consumers))
        self._wake.set()

    def readers_return(self) -> None:
        """Its readers lost their hub and come again: it is opened ahead of them, as long as it would stay open."""
        self.demand(1)
        self.demand(0)

    def assume_running(self) -> None:
        """One from before the hub's start may be there: it is stopped first."""
        self._become(lifecycle.uncertain(self.life, f"source.{self.name}"))
        self._wake.set()

    def suspect(self) -> None:
        """Its process may have ended, or supervisord come back: ask."""
        self._suspect = True
        self._become(replace(self.life, retry_at=-inf))
        self._wake.set()

    def frame(self, now: float) -> None:
        """A frame came while it runs."""
        self.last_frame = now
        if self.life.state is not lifecycle.CameraState.ONLINE:
            self._become(lifecycle.framed(self.life, now, mismatch=self._mismatch()))
            self._wake.set()

    def lost(self, why: str) -> None:
        """Its connection ended."""
        if self.life.running:
            self._become(replace(self.life, gone=True, gone_because=why))
            self._wake.set()

    async def settled(self, timeout: float) -> None:
        """Wait until nothing runs that the rules do not say. Raises `TemporaryError` where that takes too long."""
        try:
            async with asyncio.timeout(timeout):
                await self._settled.wait()
        except TimeoutError:
            raise TemporaryError(
                f"the source of camera {self.name} is still stopping after {timeout:g}s", reason="Stopping"
            ) from None

    async def end(self, timeout: float) -> None:
        """Stop for good; returns when its process is gone, and `run` with it."""
        self._ending = True
        self.apply(Rules())
        await self.settled(timeout)

    # -- its life ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `end` has done its work."""
        while True:
            self._wake.clear()
            try:
                if self._suspect:
                    await self._investigate()
                if await self._step():
                    return
            except (TemporaryError, PermanentError) as error:
                self._unreachable(error)

    async def _step(self) -> bool:
        """One decision, carried out. Returns whether there is nothing left to be done, ever."""
        now = time.monotonic()
        if self.life.last_frame is not None:
            self.life = replace(self.life, last_frame=self.last_frame)
        self._become(lifecycle.looked(self.rules, self.life, now))
        decision = lifecycle.decide(self.rules, self.life, now)
        if not lifecycle.stale(self.rules, self.life):
            self._settled.set()
            if self._ending:
                return True
        match decision.do:
            case Do.NOTHING:
                await self._sleep(decision.look_again)
            case Do.START:
                await self._start()
            case Do.STOP | Do.END:
                await self._stop(decision)
        return False

    async def _sleep(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if until == inf else max(0.0, until - time.monotonic())):
                await self._wake.wait()

    async def _investigate(self) -> None:
        """Ask rather than believe: an event may be of the run before this one."""
        self._suspect = False
        if not self.life.running or self.life.program is None:
            return
        try:
            ended = (await self._processes.state(self.life.program)).stopped
        except PermanentError:
            ended = True
        if ended and not self.life.gone:
            self._become(replace(self.life, gone=True, gone_because="its process ended"))

    async def _start(self) -> None:
        program = str(self.rules.program)
        self._log_size = log_size(self._log_file)
        self._become(lifecycle.starting(self.rules, self.life, time.monotonic()))
        await self._prepare()
        try:
            await self._processes.start(program)
        except PermanentError as error:
            self._failed(error.reason, str(error))
        except TemporaryError as error:
            if error.reason in AWAY:
                # It may have been started all the same.
                self._become(lifecycle.uncertain(self.life, program))
                raise
            self._failed(error.reason, str(error))
        else:
            self._pause = RETRY_FIRST

    async def _stop(self, decision: Decision) -> None:
        # What happens to a run while it is stopped belongs to that run; when this returns it is gone.
        if decision.reason == "Stalled":
            self._become(lifecycle.stalled(self.life, message=decision.message))
        timeout = STOP_TIMEOUT if decision.do is Do.STOP else END_TIMEOUT
        await self._processes.stop(str(self.life.program), timeout)
        self._pause = RETRY_FIRST
        self._closed()
        if decision.do is Do.STOP:
            self._become(lifecycle.stopped(self.rules, self.life, time.monotonic()))
            return
        # A few kilobytes, most likely in memory: a thread would cost more than it saves.
        said = last_words(self._log_file, self._log_size)
        reason, message = decision.reason, f"{decision.message}: {said}" if said else decision.message
        if reason == "Exited":
            device = self.rules.device
            reason = network_reason(said) or (device_reason(said) if device else "") or reason
            if device and (advised := await asyncio.to_thread(advice, reason, device)):
                message = f"{advised} ({said})"
        self._failed(reason, message)

    def _failed(self, reason: str, message: str) -> None:
        now = time.monotonic()
        chance = random.random()  # noqa: S311 - jitter
        life = lifecycle.ended(self.rules, self.life, now, reason=reason, message=message, chance=chance)
        if lifecycle.wanted(self.rules, life, now):
            wait = max(0.0, life.backoff.next_start - now)
            log.warning("camera %s: %s: %s; started again in %.1fs", self.name, reason, message, wait)
        self._become(life)

    def _unreachable(self, error: TemporaryError | PermanentError) -> None:
        log.warning("camera %s: %s", self.name, error)
        pause, self._pause = self._pause, min(self._pause * 2, RETRY_MOST)
        now = time.monotonic()
        life = lifecycle.unreachable(self.rules, self.life, now, pause=pause, reason=error.reason, message=str(error))
        self._become(life)

    def _become(self, life: Life) -> None:
        old, self.life = self.life, life
        self._changed(old, life)

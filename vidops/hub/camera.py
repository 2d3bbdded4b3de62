"""One camera of the hub: its source's life carried out, its frames counted and handed on, its state told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Protocol

from vidops.errors import PermanentError, TemporaryError, VidopsError
from vidops.hub import jpeg, lifecycle
from vidops.hub.lifecycle import Decision, Do, Life, Rules
from vidops.ports import Frame, Processes
from vidops.runtime.matroska import frame_head

log = logging.getLogger("vidops.hub")

FPS_WINDOW = 2.0
"""Seconds over which `captured_fps` is counted."""
CHECK_PAUSE = 1.0
"""Seconds until supervisord is asked again where it did not answer."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A frame as readers of every frame get it: Matroska's bytes before the JPEG, made once for all of them."""

    head: bytes
    frame: Frame
    width: int
    height: int


class Consumer(Protocol):
    """Who takes frames. Never blocks, never raises."""

    viewers: int

    def take(self, item: Recorded) -> None: ...
    def state_changed(self, state: dict[str, Any]) -> None: ...
    def gone(self) -> None:
        """The camera is no more: end."""


class Camera:
    """Starts and stops its source by the rules of `lifecycle`. One supervising task a camera, so that two things
    are never done to a source at once."""

    def __init__(
        self,
        name: str,
        processes: Processes,
        log_tail: Callable[[str], str],
        changed: Callable[[Camera], None],
    ) -> None:
        self.name = name
        self.rules = Rules()
        self.life = Life()
        self.description: dict[str, Any] = {}
        self.consumers: set[Consumer] = set()
        self.width = self.height = 0
        self.sequence = 0
        self.drops = 0
        self.last_drop = ""
        self.error = ""
        """Why its file cannot be used; it is `Failed` then."""
        self.since = time.time()
        self._processes = processes
        self._log_tail = log_tail
        self._changed = changed
        self._arrivals: deque[float] = deque(maxlen=512)
        self._timestamp = 0.0
        self._wake = asyncio.Event()
        self._suspect = False
        self._disconnect: Callable[[], None] | None = None
        self._closing = False
        self._task = asyncio.create_task(self._supervise(), name=f"camera {name}")

    # -- what it is told -----------------------------------------------------------------------------------------

    def apply(self, rules: Rules, description: dict[str, Any]) -> None:
        """New words of the stack file. A source started from other ones is replaced."""
        now = time.monotonic()
        if rules.fingerprint != self.rules.fingerprint or rules.program != self.rules.program:
            self.life = replace(self.life, backoff=replace(self.life.backoff, failures=0, next_start=0.0))
        self.rules, self.description, self.error = rules, description, ""
        if not self.life.running:
            self._become(lifecycle.at_rest(rules, self.life, now))
        self._tell()
        self._wake.set()

    def refuse(self, error: str) -> None:
        """Its file cannot be used."""
        self.error = error
        self.rules = Rules()
        self._become(replace(self.life, state=lifecycle.CameraState.FAILED, reason="BadFile", message=error))
        self._wake.set()

    def assume_running(self) -> None:
        """A source from before the hub's start may still be there: it is stopped first."""
        self.life = replace(self.life, running=True, program=f"source.{self.name}", fingerprint="before")
        self._wake.set()

    def suspect(self) -> None:
        """Its process may have ended: ask."""
        self._suspect = True
        self._wake.set()

    def add(self, consumer: Consumer) -> None:
        self.consumers.add(consumer)
        self._demand()

    def discard(self, consumer: Consumer) -> None:
        self.consumers.discard(consumer)
        self._demand()

    def _demand(self) -> None:
        now = time.monotonic()
        self._become(lifecycle.demanded(self.rules, self.life, now, consumers=len(self.consumers)))
        self._tell()
        self._wake.set()

    # -- its source's connection -----------------------------------------------------------------------------------

    def connected(self, disconnect: Callable[[], None]) -> None:
        """Its source has connected. There is one: an earlier connection is closed."""
        if self._disconnect is not None:
            self._disconnect()
        self._disconnect = disconnect

    def disconnected(self, disconnect: Callable[[], None], why: str) -> None:
        if self._disconnect != disconnect:
            return
        self._disconnect = None
        if self.life.running:
            self.life = replace(self.life, gone=True, gone_because=why)
            self._wake.set()

    def deliver(self, data: bytes) -> None:
        """A frame's bytes as they came. What is no whole JPEG goes no further."""
        if flaw := jpeg.flaw(data):
            self.drops += 1
            self.last_drop = flaw
            return
        if not self.life.running:
            return
        width, height = jpeg.size(data)
        if not width or not height:
            self.drops += 1
            self.last_drop = "it has no frame header"
            return
        now, wall = time.monotonic(), time.time()
        self.width, self.height = width, height
        # Strictly increasing, by what Matroska can tell apart, whatever the wall clock does.
        self._timestamp = max(wall, self._timestamp + 0.001) if wall > self._timestamp - 60 else wall
        self.sequence += 1
        self._arrivals.append(now)
        life = self.life
        if life.state is lifecycle.CameraState.ONLINE:
            self.life = replace(life, frames=life.frames + 1, last_frame=now)
        else:
            self._become(lifecycle.frame(life, now))
            self._wake.set()
        frame = Frame(data, self.sequence, self._timestamp)
        item = Recorded(frame_head(len(data), self._timestamp), frame, width, height)
        for consumer in tuple(self.consumers):
            consumer.take(item)

    # -- its state -------------------------------------------------------------------------------------------------

    @property
    def fps(self) -> float:
        """Frames a second over the last `FPS_WINDOW` seconds."""
        now = time.monotonic()
        while self._arrivals and self._arrivals[0] < now - FPS_WINDOW:
            self._arrivals.popleft()
        if len(self._arrivals) < 2:
            return 0.0
        return round((len(self._arrivals) - 1) / (now - self._arrivals[0]), 1)

    def state(self) -> dict[str, Any]:
        """See docs/reference/hub.md."""
        life = self.life
        return {
            "name": self.name,
            "state": life.state.value,
            "reason": life.reason,
            "message": life.message,
            "viewers": sum(c.viewers for c in self.consumers),
            "captured_fps": self.fps,
            "width": self.width,
            "height": self.height,
            "frames": self.sequence,
            "drops": self.drops,
            "last_drop": self.last_drop,
            "restarts": life.restarts,
            "since": self.since,
            "fingerprint": self.rules.fingerprint,
            "description": self.description,
        }

    def _become(self, life: Life) -> None:
        old, self.life = self.life, life
        if (old.state, old.reason, old.message) != (life.state, life.reason, life.message):
            if old.state != life.state:
                self.since = time.time()
            self._tell()
            state = self.state()
            for consumer in tuple(self.consumers):
                consumer.state_changed(state)

    def _tell(self) -> None:
        self._changed(self)

    # -- its source's life -----------------------------------------------------------------------------------------

    async def close(self) -> None:
        """The camera is removed: consumers end, the source is stopped and gone when this returns."""
        self._closing = True
        for consumer in tuple(self.consumers):
            consumer.gone()
        self.consumers.clear()
        self.rules = Rules()
        self._wake.set()
        await self._task

    async def _supervise(self) -> None:
        while True:
            self._wake.clear()
            try:
                if self._suspect:
                    await self._investigate()
                decision = lifecycle.decide(self.rules, self.life, time.monotonic())
                if decision.do is Do.NOTHING:
                    if self._closing and not self.life.running:
                        return
                    await self._sleep(decision.look_again)
                    continue
                await self._carry_out(decision)
            except VidopsError as error:
                # supervisord is away or busy: its keeper brings it back, and this camera with it.
                log.warning("camera %s: %s", self.name, error)
                await self._sleep(time.monotonic() + CHECK_PAUSE)

    async def _sleep(self, until: float) -> None:
        if until == inf:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._wake.wait()
        if not self.life.running:
            # A demand that ran out leaves nothing to be done, but another state.
            now = time.monotonic()
            if not lifecycle.wanted(self.rules, self.life, now) and not self.error:
                self._become(lifecycle.at_rest(self.rules, self.life, now))

    async def _investigate(self) -> None:
        self._suspect = False
        if not self.life.running or self.life.program is None:
            return
        try:
            state = await self._processes.state(self.life.program)
        except PermanentError:
            ended = True
        else:
            ended = state.stopped
        if ended:
            self.life = replace(self.life, gone=True, gone_because=self.life.gone_because or "its process ended")

    async def _carry_out(self, decision: Decision) -> None:
        if decision.do is Do.START:
            await self._start()
            return
        program = self.life.program or f"source.{self.name}"
        await self._processes.stop(program)
        if self._disconnect is not None:
            disconnect, self._disconnect = self._disconnect, None
            disconnect()
        now = time.monotonic()
        if decision.do is Do.STOP:
            self._become(lifecycle.stopped(self.rules, self.life, now))
            return
        message = decision.message
        if decision.reason == "Exited" and (said := await asyncio.to_thread(self._log_tail, program)):
            message = f"{message}: {said}" if self.life.frames else said
        self._failed(decision.reason, message)

    async def _start(self) -> None:
        program = self.rules.program
        self._become(lifecycle.starting(self.rules, self.life, time.monotonic()))
        try:
            await self._processes.start(str(program))
        except (TemporaryError, PermanentError) as error:
            self._failed(error.reason, str(error))

    def _failed(self, reason: str, message: str) -> None:
        self._become(
            lifecycle.ended(
                self.rules,
                self.life,
                time.monotonic(),
                reason=reason,
                message=message,
                chance=random.random(),  # noqa: S311 - jitter
            )
        )

"""Telling of events: each hook has a queue and a worker of its own; none waits for another, nor anybody for them.

A queue is bounded, and so is the number of tries; what is dropped is counted and shown. Events are kept in memory: what
waits when the control plane ends is lost, but for finished segments that it had not filed yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vidops.errors import PermanentError, TemporaryError
from vidops.resources.catalogue import Catalogue, Deliver, EventHookContext
from vidops.resources.conditions import Health, Status
from vidops.resources.resource import JSON, Ref
from vidops.resources.specs import HookSpec
from vidops.runtime.secretrefs import secret
from vidops.runtime.tasks import Tasks

log = logging.getLogger("vidops")

MOST_WAITING = 1000
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
CLOSING = 2.0
"""Seconds that an ending control plane waits for what is still to be told."""
LOST = (Health.MISSING, Health.DEGRADED)


@dataclass
class Worker:
    """One hook. `waiting`: events that are to be told, oldest first."""

    name: str
    spec: HookSpec
    deliver: Deliver
    waiting: deque[Mapping[str, Any]] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    error: str = ""

    def wants(self, event: Mapping[str, Any]) -> bool:
        spec = self.spec
        return (
            event["event"] in spec.on
            and fnmatch.fnmatchcase(str(event["camera"]), spec.cameras)
            and (not event.get("capture") or fnmatch.fnmatchcase(str(event["capture"]), spec.captures))
        )

    def put(self, event: Mapping[str, Any]) -> None:
        if len(self.waiting) >= MOST_WAITING:
            # The newest are worth more than the oldest.
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(event)
        self.idle.clear()
        self.wake.set()

    async def run(self) -> None:
        while True:
            self.wake.clear()
            while self.waiting:
                self.idle.clear()
                await self._tell(self.waiting.popleft())
            self.idle.set()
            await self.wake.wait()

    async def _tell(self, event: Mapping[str, Any]) -> None:
        pause = FIRST_PAUSE
        for left in reversed(range(self.spec.attempts)):
            try:
                async with asyncio.timeout(self.spec.timeout):
                    await self.deliver(event)
            except TimeoutError:
                self._failing(f"no answer within {self.spec.timeout:g}s")
            except PermanentError as error:
                self._failing(str(error))
                break
            except (TemporaryError, OSError) as error:
                self._failing(str(error))
            except Exception as error:
                # Somebody else's code: named, and confined to its hook.
                log.exception("hook %s failed", self.name)
                self._failing(f"its plugin failed: {type(error).__name__}: {error}")
                break
            else:
                self.delivered += 1
                self.error = ""
                return
            if left:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        self.failed += 1
        log.warning("hook %s: %s was not told: %s", self.name, event["event"], self.error)

    def _failing(self, error: str) -> None:
        self.error = error[:500]


class EventHooks:
    """`reconcile.host.Hooks`, by the types of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._workers: dict[str, Worker] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks = Tasks()
        self._host = socket.gethostname()

    def set(self, name: str, spec: HookSpec) -> None:
        old = self._workers.get(name)
        if old is not None and old.spec == spec:
            return
        kind = self._catalogue.hooks.get(spec.type)
        if kind is None:
            raise PermanentError(f"no plugin gives hooks of type {spec.type}", reason="PluginBroken")
        options = kind.options.model_validate(spec.options)
        deliver = kind.build(options, EventHookContext(name, spec.base_dir, secret))
        self.remove(name)
        worker = self._workers[name] = Worker(name, spec, deliver)
        if old is not None:
            worker.waiting.extend(old.waiting)
        self._running[name] = self._tasks.start(worker.run(), f"hook {name}")

    def remove(self, name: str) -> None:
        self._workers.pop(name, None)
        if task := self._running.pop(name, None):
            task.cancel()

    def tell(self, event: str, **facts: Any) -> None:
        """Tell whoever wants to know; returns at once."""
        document = {"event": event, "time": time.time(), "host": self._host, **facts}
        for worker in self._workers.values():
            if worker.wants(document):
                worker.put(document)

    def report(self, name: str) -> JSON:
        worker = self._workers.get(name)
        if worker is None:
            return {}
        counts = {"delivered": worker.delivered, "failed": worker.failed, "dropped": worker.dropped}
        return {**counts, "waiting": len(worker.waiting), "error": worker.error}

    async def close(self) -> None:
        """Tell what waits, as far as that is done at once; then end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*(worker.idle.wait() for worker in self._workers.values()))
        await self._tasks.close()


def tell_of_camera(tell: Callable[..., None], ref: Ref, before: Status, after: Status) -> None:
    """Of a camera's status that turned: it was lost, or is found again."""
    if ref.kind != "source":
        return
    was, is_ = before.health in LOST, after.health in LOST
    if was != is_:
        event = "camera_lost" if is_ else "camera_found"
        tell(event, camera=ref.name, reason=after.reason, message=after.message)

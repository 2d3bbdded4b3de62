"""`host_guard`: new requests are refused while the host has enough to do. What is running goes on.

One look a second for all routes of a gateway. Where several routes have a guard, those of a lower `order` are refused
at once and those of a higher one only when that did not help: `order` times five seconds later.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from vidops.api import ASGIApp, GatewayContext, Options, PositiveDuration, Receive, Scope, Send, respond_problem

LOOK_EVERY = 1.0
ESCALATE = 5.0
"""Seconds of overload between one `order` and the next."""
CALM = 0.95
"""Of a limit: what a figure has to fall to before requests are taken again, such that it does not flutter."""


FIGURES = ("max_cpu", "max_memory", "max_disk", "max_load", "max_temperature", "max_processes")


def parse_share(value: Any) -> float:
    """0.95 of "95%"; raises `ValueError`."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not text.endswith("%") or not 0 < share <= 1:
        raise ValueError('a share is written as "95%", more than 0% and at most 100%')
    return share


Share = Annotated[
    float,
    BeforeValidator(lambda v: v if isinstance(v, float) else parse_share(v)),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(?:\.[0-9]+)?%$", "examples": ["95%"]}),
]


class HostGuard(Options):
    """Refuses requests (503, `Retry-After`) while the host is overloaded, the least important routes first."""

    max_cpu: Share | None = None
    """Of all processors together, over the last second: "95%"."""
    max_memory: Share | None = None
    """Of memory that is in use and cannot be had back."""
    max_disk: Share | None = None
    """Of the disk that recordings are on, or the state directory's, whichever is fuller, as `df` counts."""
    max_load: Annotated[float, Field(gt=0)] | None = None
    """Load average of the last minute, a processor."""
    max_temperature: Annotated[float, Field(gt=0, lt=150)] | None = None
    """Degrees Celsius of the hottest sensor; where there is none, nothing is refused."""
    max_processes: Annotated[int, Field(ge=10)] | None = None
    """Processes on the host."""
    order: Annotated[int, Field(ge=0, le=20)] = 0
    """Which routes are refused first: 0 at once, each further one five seconds of overload later."""
    retry_after: PositiveDuration = "5s"  # type: ignore[assignment]
    """When clients shall ask again."""

    @model_validator(mode="after")
    def _guards_something(self) -> HostGuard:
        if all(getattr(self, name) is None for name in FIGURES):
            raise ValueError(f"say what may be too much: {', '.join(FIGURES)}")
        return self


class Host:
    """Figures of this host, looked at as long as a route wants them."""

    def __init__(self, disks: Sequence[str]) -> None:
        """`disks`: directories on them."""
        self.figures: dict[str, float] = {}
        self._disks = disks
        self._times = Times()
        self._users = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._users += 1
        if self._task is None:
            # The first figure of processors is since then.
            await asyncio.to_thread(look, self._times, self._disks)
            self._task = asyncio.create_task(self._watch(), name="watch the host")

    async def stop(self) -> None:
        self._users -= 1
        if not self._users and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.figures = await asyncio.to_thread(look, self._times, self._disks)


@dataclass(slots=True)
class Times:
    """Seconds that processors were busy, and in all, at the last look."""

    busy: float = 0.0
    whole: float = 0.0

    def share(self, busy: float, whole: float) -> float:
        """Of the time since the last look that was busy."""
        passed, worked = whole - self.whole, busy - self.busy
        self.busy, self.whole = busy, whole
        return min(1.0, max(0.0, worked / passed)) if passed > 0 else 0.0


def look(times: Times, disks: Sequence[str]) -> dict[str, float]:
    """Figures by option: shares, load a processor, degrees, a count. Blocking for milliseconds."""
    import psutil

    sensors: Mapping[str, list[Any]] = psutil.sensors_temperatures()
    # psutil's own share is since the last call of the same thread.
    cpu = psutil.cpu_times()
    whole = sum(cpu) - getattr(cpu, "guest", 0.0) - getattr(cpu, "guest_nice", 0.0)
    degrees = [float(s.current) for found in sensors.values() for s in found if s.current]
    return {
        "max_cpu": times.share(whole - cpu.idle - getattr(cpu, "iowait", 0.0), whole),
        "max_memory": psutil.virtual_memory().percent / 100,
        "max_disk": max((_full(path) for path in disks), default=0.0),
        "max_load": os.getloadavg()[0] / (os.cpu_count() or 1),
        "max_processes": float(len(psutil.pids())),
        **({"max_temperature": max(degrees)} if degrees else {}),
    }


def _full(path: str) -> float:
    """The share of a disk that is in use; none of one that is not there, which recordings tell of themselves."""
    import psutil

    try:
        return float(psutil.disk_usage(path).percent) / 100
    except OSError:
        return 0.0


class Judge:
    """Whether a route refuses, by one figure after the other: `since` when one has been over its limit."""

    def __init__(self, options: HostGuard) -> None:
        self._limits = {name: float(limit) for name in FIGURES if (limit := getattr(options, name)) is not None}
        self._after = options.order * ESCALATE
        self._since: dict[str, float] = {}

    def refuses(self, figures: Mapping[str, float], now: float) -> str:
        """What is too much, in words; empty where requests are taken."""
        for name, limit in self._limits.items():
            figure = figures.get(name, 0.0)
            if figure > limit:
                self._since.setdefault(name, now)
            elif figure <= limit * CALM:
                self._since.pop(name, None)
        for name, since in self._since.items():
            if now - since >= self._after:
                return f"{name.removeprefix('max_')} is {_said(name, figures.get(name, 0.0))}"
        return ""


def _said(name: str, figure: float) -> str:
    if name in ("max_cpu", "max_memory", "max_disk"):
        return f"{figure:.0%}"
    return f"{figure:.0f}" if name == "max_processes" else f"{figure:.1f}"


_HOSTS: WeakKeyDictionary[asyncio.AbstractEventLoop, Host] = WeakKeyDictionary()


def build(options: HostGuard, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    judge = Judge(options)
    # One for all routes of a process, which has one loop.
    disks = (context.layout.data_dir, context.layout.state_dir)
    host = _HOSTS.setdefault(asyncio.get_running_loop(), Host(disks))
    context.started.append(host.start)
    context.stopped.append(host.stop)
    headers = [(b"retry-after", b"%d" % max(1, round(options.retry_after)))]

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            why = judge.refuses(host.figures, time.monotonic())
            if why:
                await respond_problem(scope, send, 503, f"too much to do: {why}", reason="Overloaded", headers=headers)
                return
            await app(scope, receive, send)

        return guarded

    return wrap

"""The host, as the reconciler acts on it: every effect it has goes through here, behind ports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vidops.errors import PermanentError
from vidops.planning.activity import Pause
from vidops.ports import Clock, Processes, ProcessState
from vidops.resources.layout import Layout
from vidops.resources.resource import JSON
from vidops.resources.specs import CaptureSpec, HookSpec, Program


class ProgramFiles(Protocol):
    """Writes what supervisord and the exec shim read of a program."""

    def write(self, name: str, program: Program, fingerprint: str) -> bool:
        """Returns whether anything changed. Raises `PermanentError` where the program cannot be expressed."""

    def remove(self, name: str) -> None: ...


class Files(Protocol):
    """Small generated files, written whole or not at all, 0600."""

    def write(self, path: str, text: str) -> bool:
        """Returns whether the content changed."""

    def remove(self, path: str) -> None: ...


class HubControl(Protocol):
    """The hub's control side. Raises `TemporaryError` where it does not answer."""

    async def apply(self, camera: JSON) -> None: ...
    async def remove(self, name: str) -> None: ...
    async def status(self) -> JSON: ...


class GatewayControl(Protocol):
    """One request to a gateway's control socket, one answer. Raises `TemporaryError` where it does not answer."""

    async def __call__(self, gateway: str, request: JSON) -> JSON: ...


class Hooks(Protocol):
    """Who is told of events."""

    def set(self, name: str, spec: HookSpec) -> None:
        """Know a hook, or know it anew. Raises `PermanentError` where it cannot be built."""

    def remove(self, name: str) -> None: ...
    def report(self, name: str) -> JSON:
        """`delivered, failed, dropped, waiting`, and `error`: why the newest try failed; empty where it did not."""


class NoHooks:
    """Nobody is told."""

    def set(self, name: str, spec: HookSpec) -> None: ...
    def remove(self, name: str) -> None: ...
    def report(self, name: str) -> JSON:
        return {}


@dataclass
class Host:
    """All effects, and which programs are wanted running: those alone are started again when they end."""

    layout: Layout
    clock: Clock
    processes: Processes
    programs: ProgramFiles
    files: Files
    hub: HubControl
    gateway: GatewayControl
    cameras: Callable[[], Mapping[str, Mapping[str, Any]]]
    """Last known state of every camera by name, as the hub tells it."""
    running_fingerprint: Callable[[int], str]
    """The fingerprint that the process of a pid was started with; empty where unknown."""
    grown: Callable[[str], int]
    unkept: Callable[[str], str]
    """Why nothing of what a capture records stays; empty where something does."""
    """Bytes that a capture's spool holds."""
    probe: Callable[[str, float], Awaitable[object]]
    """Wait for a frame of a camera, opening it where it is on demand; raises with the camera's reason, or where
    none came within so many seconds."""
    last_words: Callable[[str], str]
    """What a program's log ends with: why it ended. Blocking; empty where it says nothing."""
    pause_of: Callable[[str, CaptureSpec], Pause | None] = lambda _name, _spec: None
    """Why a capture is not to record now; None where it is."""
    upload_report: Callable[[str], JSON] = lambda _name: {}
    """What an upload says of itself: `copied`, `waiting`, `error`; empty where it has not said anything."""
    hooks: Hooks = field(default_factory=NoHooks)
    wanted: set[str] = field(default_factory=set)

    async def state_of(self, program: str) -> ProcessState | None:
        """None where the program is not known."""
        try:
            return await self.processes.state(program)
        except PermanentError:
            return None

    async def farewell(self, program: str, exit_status: int) -> str:
        """`ended with exit status 1: <what its log ends with>`."""
        said = await asyncio.to_thread(self.last_words, program)
        return f"ended with exit status {exit_status}" + (f": {said}" if said else "")


async def until(
    clock: Clock, timeout: float, check: Callable[[], Awaitable[bool]], *, pauses: Sequence[float] = (0.01, 0.02, 0.05)
) -> bool:
    """Ask `check` until it says yes or `timeout` seconds are over; whether it did. Pauses lengthen to the last."""
    deadline = clock.monotonic() + timeout
    turn = 0
    while not await check():
        if clock.monotonic() >= deadline:
            return False
        await clock.sleep(pauses[min(turn, len(pauses) - 1)])
        turn += 1
    return True

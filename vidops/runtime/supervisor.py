"""`ports.Processes` on a private supervisord. Its life (start, adopt, end) is in `runtime.daemon`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

from vidops.errors import PermanentError, TemporaryError
from vidops.ports import ProcessEvent, ProcessState
from vidops.resources.layout import Layout
from vidops.runtime import daemon
from vidops.runtime.rpc import Fault, call

RESYNC = "RESYNC"
"""State of the event (of no program) that says: what you know may be old, read `inventory` again."""
KILL_TIMEOUT = 5.0
"""Seconds that a process may take to end after SIGKILL (a device driver can hold it)."""
EVENT_LIMIT = 64 * 1024

_BAD_NAME, _SHUTDOWN, _STILL_RUNNING, _SPAWN_ERROR, _CANT_REREAD = 10, 6, 91, 50, 92
_REASONS = {_SHUTDOWN: "SupervisorDown", _STILL_RUNNING: "Stopping", _SPAWN_ERROR: "SpawnError"}


class Supervisor:
    """Programs of one runtime directory. Stateless between calls; use one from several tasks as you like.

    Every call raises `TemporaryError` with reason `SupervisorDown` or `SupervisorBusy` where supervisord does not
    answer, and `PermanentError` where a program's file is missing or wrong.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    async def ensure_running(self, *, start: bool = True) -> int:
        """See `daemon.ensure_running`."""
        return await daemon.ensure_running(self.layout, start=start)

    async def shutdown(self, timeout: float = 30.0) -> None:
        """See `daemon.shutdown`."""
        await daemon.shutdown(self.layout, timeout)

    async def inventory(self) -> Mapping[str, ProcessState]:
        entries = json.loads(await self._call("inventory"))
        return {state.program: state for state in map(_state, entries)}

    async def state(self, program: str) -> ProcessState:
        return _state(json.loads(await self._call("state", program)))

    async def ensure(self, programs: Sequence[str]) -> None:
        """Make programs known from `programs/<name>.conf`; a known, stopped one takes its file's present content.

        In portions, so that supervisord (one loop) goes on reading its programs' output in between.
        """
        for start in range(0, len(programs), 50):
            await self._call("ensure", list(programs[start : start + 50]))

    async def forget(self, programs: Sequence[str]) -> None:
        known = await self.inventory()
        wanted = [program for program in programs if program in known]
        async with asyncio.TaskGroup() as group:
            for program in wanted:
                if not known[program].stopped:
                    group.create_task(self.stop(program))
        if wanted:
            await self._call("forget", wanted)

    async def start(self, program: str) -> None:
        """Start as its files say now. Running is fine. Raises `TemporaryError` where it cannot be spawned."""
        await self._call("start", program)

    async def stop(self, program: str, timeout: float = 10.0) -> None:
        """Stop, killing after `timeout` seconds at the latest; returns once the process is gone.

        Raises `TemporaryError` (reason `Stopping`) where even a kill does not end it.
        """
        try:
            state = _state(json.loads(await self._call("stop", program)))
        except PermanentError:
            return
        if not await self._gone(state, timeout):
            await self._call("kill", program)
            if not await self._gone(state, KILL_TIMEOUT):
                raise TemporaryError(
                    f"{program} (pid {state.pid}) does not end, though killed: the kernel holds it, likely in a "
                    "device driver",
                    reason="Stopping",
                )

    async def _gone(self, state: ProcessState, timeout: float) -> bool:
        """Whether the process of `state` has ended, and supervisord knows it, within `timeout` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout
        pause = 0.005
        # Ask until it says so: a group that is stopping answers a second stop at once, as if it were done.
        while not state.stopped:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)
            try:
                now = await self.state(state.program)
            except PermanentError:
                return True
            if now.running and now.pid != state.pid:
                return True
            state = ProcessState(state.program, now.state, state.pid)
        return True

    async def supplant(self, program: str) -> None:
        """See `ports.Processes`. Raises `TemporaryError` where the new one cannot be spawned."""
        await self._call("supplant", program)

    async def dismiss(self, program: str) -> None:
        await self._call("dismiss", program)

    async def signal(self, program: str, signal: str) -> None:
        """Send a signal (`HUP`, `USR1` ...) to the program's process; raises where it does not run."""
        await self._call("signal", program, signal.removeprefix("SIG"))

    async def events(self) -> AsyncGenerator[ProcessEvent, None]:
        """Every change of state, in order, as long as it is read.

        An event with state `RESYNC` comes first, and again whenever some may have been missed: supervisord went
        away, came back, or cut us off for being slow. Read the inventory then. Between a loss and the return
        there are no others.
        """
        path = f"{self.layout.run_dir}/events/supervisor.sock"
        pause = 0.01
        while True:
            told = False
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(path, limit=EVENT_LIMIT)
                try:
                    async for event in _read_events(reader):
                        told = True
                        yield event
                finally:
                    writer.close()
            if told:
                pause = 0.01
                yield ProcessEvent("", RESYNC)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.2)

    async def _call(self, method: str, *arguments: object) -> str:
        try:
            return str(await call(self.layout.supervisor_socket, f"vidops.{method}", *arguments))
        except Fault as fault:
            if fault.code in (_BAD_NAME, _CANT_REREAD):
                raise PermanentError(str(fault), reason="BadProgram") from None
            raise TemporaryError(str(fault), reason=_REASONS.get(fault.code, fault.reason)) from None


async def _read_events(reader: asyncio.StreamReader) -> AsyncIterator[ProcessEvent]:
    """Events until the stream ends or says something that is none."""
    while True:
        try:
            line = await reader.readline()
            if not line.endswith(b"\n"):
                return
            data = json.loads(line)
            event = ProcessEvent(data["program"], data["state"], data["pid"], data["expected"])
        except (OSError, ValueError, LookupError, TypeError):
            return
        yield event


def _state(entry: Sequence[Any]) -> ProcessState:
    program, state, pid, exit_status, since = entry
    return ProcessState(program, state, pid, exit_status, since)

"""`ports.Processes` without processes: a started "source" is a task that delivers small JPEGs to the hub."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.hub.jpegs import jpeg
from tests.hub.test_multipart import stream
from vidops.errors import PermanentError, TemporaryError
from vidops.ports import ProcessEvent, ProcessState
from vidops.resources.layout import Layout


def part(content: bytes) -> bytes:
    """One part, without the stream's first boundary."""
    return stream(content).removeprefix(b"--ffmpeg\r\n")


@dataclass
class FakeProcesses:
    """What sources do is in `sends`: the bytes they write, a pause of `every` seconds between."""

    layout: Layout
    every: float = 0.01
    size: tuple[int, int] = (16, 8)
    sends: Iterable[bytes] | None = None
    picture: Callable[[int], bytes] | None = None
    """The n-th frame, from 0; delivered at an even pace."""
    fails: bool = False
    """Sources end as soon as they are started."""
    away: bool = False
    """supervisord does not answer."""
    known: bool = True
    holds: bool = False
    """A source's end is waited for in vain."""
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    left_over: set[str] = field(default_factory=set)
    starts: int = 0
    calls: list[str] = field(default_factory=list)
    listeners: list[asyncio.Queue[ProcessEvent]] = field(default_factory=list)

    async def inventory(self) -> Mapping[str, ProcessState]:
        self._answer("inventory")
        return {name: await self.state(name) for name in {*self.running, *self.left_over}}

    async def state(self, program: str) -> ProcessState:
        self._answer(f"state {program}")
        runs = program in self.left_over or (program in self.running and not self.running[program].done())
        return ProcessState(program, "RUNNING" if runs else "EXITED")

    async def ensure(self, programs: Sequence[str]) -> None: ...
    async def forget(self, programs: Sequence[str]) -> None: ...
    async def signal(self, program: str, signal: str) -> None: ...

    async def start(self, program: str) -> None:
        self._answer(f"start {program}")
        if not self.known:
            raise PermanentError(f"{program}: there is no file of it", reason="BadProgram")
        old = self.running.get(program)
        assert old is None or old.done(), "a second opener of the device"
        assert program not in self.left_over, "a second opener of the device"
        self.starts += 1
        task = asyncio.create_task(self._run(program.partition(".")[2]))
        self.running[program] = task
        self._tell(program, "RUNNING")
        task.add_done_callback(lambda _: self._tell(program, "EXITED"))

    async def stop(self, program: str, timeout: float = 10.0) -> None:
        self._answer(f"stop {program}")
        while self.holds:
            await asyncio.sleep(0.01)
        self.left_over.discard(program)
        await self.kill(program)

    async def kill(self, program: str) -> None:
        task = self.running.pop(program, None)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def events(self) -> AsyncIterator[ProcessEvent]:
        queue: asyncio.Queue[ProcessEvent] = asyncio.Queue()
        self.listeners.append(queue)
        while True:
            yield await queue.get()

    def back(self) -> None:
        """supervisord answers again, and tells."""
        self.away = False
        for queue in self.listeners:
            queue.put_nowait(ProcessEvent("", "RESYNC"))

    def _tell(self, program: str, state: str) -> None:
        for queue in self.listeners:
            queue.put_nowait(ProcessEvent(program, state))

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            raise TemporaryError("supervisord is away", reason="SupervisorDown")

    async def _run(self, camera: str) -> None:
        if self.fails:
            return
        _, writer = await asyncio.open_unix_connection(self.layout.input_socket(camera))
        try:
            writer.write(b"--ffmpeg\r\n")
            if self.sends is not None:
                for data in self.sends:
                    writer.write(data)
                    await writer.drain()
                await asyncio.Event().wait()
            loop = asyncio.get_running_loop()
            began = loop.time()
            for n in itertools.count():
                writer.write(part(self.picture(n) if self.picture else jpeg(*self.size)))
                await writer.drain()
                await asyncio.sleep(max(0.0, began + (n + 1) * self.every - loop.time()))
        except ConnectionError:
            return
        finally:
            writer.close()

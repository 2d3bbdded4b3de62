"""Fakes of the ports: for speed and for what cannot be had for real (a clock that jumps). Never the only proof."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vidops.errors import PermanentError, TemporaryError
from vidops.ports import ControlFacts, Frame, ProcessEvent, ProcessState
from vidops.resources.controls import numbers_for, to_json
from vidops.runtime.tasks import Tasks


class FakeClock:
    """`ports.Clock` that moves when it is told to, or as far as somebody sleeps."""

    def __init__(self, now: float = 1_000_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += max(0.0, seconds)
        await asyncio.sleep(0)


class FakeProcesses:
    """`ports.Processes` without processes. `end(program)` is a crash; `refusing` names programs that do not start."""

    def __init__(self, refusing: Iterable[str] = ()) -> None:
        self.states: dict[str, ProcessState] = {}
        self.refusing = set(refusing)
        self.history: list[tuple[str, str]] = []
        self.supplanted: list[str] = []
        """Programs whose process before goes on beside them."""
        self.on_start: Callable[[str, int], None] = lambda program, pid: None
        """Called with each process that is started."""
        self._events: asyncio.Queue[ProcessEvent] = asyncio.Queue()
        self._pid = 100

    async def inventory(self) -> Mapping[str, ProcessState]:
        return dict(self.states)

    async def state(self, program: str) -> ProcessState:
        if program not in self.states:
            raise PermanentError(f"{program} is not known", reason="BadProgram")
        return self.states[program]

    async def ensure(self, programs: Sequence[str]) -> None:
        for program in programs:
            self.states.setdefault(program, ProcessState(program, "STOPPED"))

    async def forget(self, programs: Sequence[str]) -> None:
        for program in programs:
            if self.states.pop(program, None) is not None:
                self.history.append(("forget", program))

    async def start(self, program: str) -> None:
        state = await self.state(program)
        if program in self.refusing:
            raise TemporaryError(f"{program} does not start", reason="SpawnError")
        if not state.running:
            self._pid += 1
            self.history.append(("start", program))
            self.on_start(program, self._pid)
            self._set(replace(state, state="RUNNING", pid=self._pid))

    async def stop(self, program: str, timeout: float = 10.0) -> None:
        state = self.states.get(program)
        if state is not None and state.running:
            self.history.append(("stop", program))
            self._set(replace(state, state="STOPPED", pid=0))

    async def supplant(self, program: str) -> None:
        self.history.append(("supplant", program))
        self.supplanted.append(program)
        self._set(replace(await self.state(program), state="STOPPED", pid=0))
        await self.start(program)

    async def dismiss(self, program: str) -> None:
        if program in self.supplanted:
            self.supplanted.remove(program)
            self.history.append(("dismiss", program))

    async def signal(self, program: str, signal: str) -> None:
        self.history.append((signal, program))

    def end(self, program: str, exit_status: int = 1) -> None:
        """The program ends by itself."""
        self._set(replace(self.states[program], state="EXITED", pid=0, exit_status=exit_status))

    def _set(self, state: ProcessState) -> None:
        self.states[state.program] = state
        self._events.put_nowait(ProcessEvent(state.program, state.state, state.pid))

    async def events(self) -> AsyncIterator[ProcessEvent]:
        while True:
            yield await self._events.get()


class FakeSubscription:
    """`ports.FrameSubscription` of `FakeCameras`."""

    def __init__(self, feed: asyncio.Task[None] | None) -> None:
        self.viewers = 1
        self.unknown = feed is None
        self._feed = feed

    def close(self) -> None:
        if self._feed is not None:
            self._feed.cancel()


class FakeControls:
    """The part of `ports.Cameras` that is about devices: controls in `knobs`, by camera; held cameras in `held`."""

    def __init__(self) -> None:
        self.knobs: dict[str, list[ControlFacts]] = {}
        self.held: set[str] = set()

    async def controls(self, camera: str) -> Mapping[str, Any]:
        if camera not in self.knobs:
            raise PermanentError(f"camera {camera} has no device with controls now", reason="NoControls")
        return {"device": "/dev/video0", "controls": [to_json(c) for c in self.knobs[camera]], "modes": []}

    async def set_controls(self, camera: str, values: Mapping[str, bool | int | str]) -> Mapping[str, Any]:
        chosen, wrong = numbers_for(self.knobs.get(camera, []), values)
        if wrong:
            raise PermanentError("; ".join(wrong), reason="ControlRefused")
        numbers = {control.name: number for control, number in chosen}
        self.knobs[camera] = [replace(c, value=numbers.get(c.name, c.value)) for c in self.knobs[camera]]
        return await self.controls(camera)

    async def hold(self, camera: str, *, on: bool) -> Mapping[str, Any]:
        (self.held.add if on else self.held.discard)(camera)
        return {"name": camera, "held": on}


class FakeCameras(FakeControls):
    """`ports.Cameras` that delivers the frames it was given, in a loop, `pause` seconds apart."""

    def __init__(self, frames: Mapping[str, Sequence[bytes]], pause: float = 0.0) -> None:
        super().__init__()
        self._frames = {name: list(images) for name, images in frames.items()}
        self._pause = pause
        self._tasks = Tasks()
        self.connected = asyncio.Event()
        self.connected.set()

    def states(self) -> Sequence[Mapping[str, object]]:
        return [self._state(name) for name in sorted(self._frames)]

    def _state(self, name: str) -> Mapping[str, object]:
        return {"name": name, "state": "Online", "reason": "Online", "message": ""}

    def knows(self, camera: str) -> bool:
        return camera in self._frames

    async def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        """Every camera once: nothing ever changes of them."""
        for state in self.states():
            yield {"camera": state}
        await asyncio.Event().wait()

    async def frames(self, camera: str, *, fps: float | None = None, width: int | None = None) -> AsyncIterator[Frame]:
        if camera not in self._frames:
            raise PermanentError(f"there is no camera {camera!r}", reason="UnknownCamera")
        sequence = 0
        while True:
            for image in self._frames[camera]:
                sequence += 1
                yield Frame(image, sequence, 1_000_000_000.0 + sequence)
                await asyncio.sleep(self._pause)

    def subscribe(
        self,
        camera: str,
        on_frame: Callable[[Frame], None],
        on_state: Callable[[Mapping[str, Any]], None] | None = None,
        on_gone: Callable[[], None] | None = None,
        *,
        fps: float | None = None,
        width: int | None = None,
    ) -> FakeSubscription:
        if camera not in self._frames:
            if on_gone is not None:
                on_gone()
            return FakeSubscription(None)

        async def feed() -> None:
            async for frame in self.frames(camera):
                on_frame(frame)

        if on_state is not None:
            on_state(self._state(camera))
        return FakeSubscription(self._tasks.start(feed(), f"frames of {camera}"))

    async def snapshot(self, camera: str, timeout: float = 10.0, max_age: float = 0.0) -> Frame:
        async for frame in self.frames(camera):
            return frame
        raise TemporaryError("no frame")

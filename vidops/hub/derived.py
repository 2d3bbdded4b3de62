"""Streams that are made of a camera's: JPEGs of frames of another codec, smaller or fewer pictures.

Each is one FFmpeg under supervisord, shared by all who ask for the same, started with the first of them and gone a
little after the last. To the rest of the hub it is a camera of its own, `<camera>.<shape>`, that no list shows: the
rules of starting, backoff and stalls are those of sources, and its frames are checked like theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

from vidops.errors import PermanentError, TemporaryError
from vidops.hub.camera import JPEG, Camera, Consumer, Recorded
from vidops.hub.ingest import Ingest
from vidops.hub.lifecycle import CameraState, Rules
from vidops.hub.outlet import Outlet
from vidops.hub.shape import Pacer, Shape, derived_program
from vidops.hub.sockets import listen, unlisten
from vidops.ports import Processes
from vidops.resources.layout import Layout
from vidops.resources.resource import fingerprint
from vidops.resources.specs import Program
from vidops.runtime.tasks import Tasks

log = logging.getLogger("vidops.hub")

CLOSE_AFTER = 5.0
"""Seconds from the last viewer to the end of its FFmpeg."""
START_TIMEOUT = 10.0
BACKLOG = 8 * 1024 * 1024
"""Bytes that it may be behind: it is live, and goes on at the next key frame."""


class ProgramFiles(Protocol):
    """Writes what supervisord and the exec shim read of a program."""

    def write(self, name: str, program: Program, fingerprint: str) -> object: ...
    def remove(self, name: str) -> None: ...


class Derived(Camera):
    """One such stream. Its source runs only while its camera delivers, and its state is the camera's until then."""

    def __init__(
        self, base: Camera, shape: Shape, layout: Layout, processes: Processes, changed: Callable[[Camera], None]
    ) -> None:
        self.base = base
        self.shape = shape
        name = f"{base.name}.{shape.key}"
        self.program = f"derived.{name}"
        self.coded = _coded(base)
        super().__init__(name, layout.log_file(self.program), processes, changed, base.max_frame)
        self._gate = _Gate(self)

    def outlet(self) -> Outlet:
        """What its FFmpeg reads."""
        return Outlet(self.base, BACKLOG, viewers=0, pacer=Pacer(0 if self.coded else self.shape.fps))

    def add(self, consumer: Consumer) -> None:
        self.consumers.add(consumer)
        self.base.add(self._gate)
        self.turned()

    def discard(self, consumer: Consumer) -> None:
        self.consumers.discard(consumer)
        self.turned()
        if not self.consumers:
            self.base.discard(self._gate)

    def turned(self) -> None:
        """Its camera, or who looks at it, is another."""
        online = self.base.source.life.state is CameraState.ONLINE
        if online and self.base.track is not None and self.coded != _coded(self.base):
            # It was made before the camera's codec was known, or the camera is another now.
            for consumer in tuple(self.consumers):
                consumer.again()
            online = False
        self.source.demand(len(self.consumers) if online else 0)
        self._changed(self)
        self.base.recounted()

    def recounted(self) -> None:
        self.base.recounted()

    def tell(self) -> None:
        state = self.state()
        for consumer in tuple(self.consumers):
            consumer.state_changed(state)

    def state(self) -> dict[str, Any]:
        base, own = self.base.state(), super().state()
        told = ("state", "reason", "message") if base["state"] == CameraState.ONLINE else ()
        frames = ("codec", "width", "height", "captured_fps", "frames")
        return {
            **base,
            **{name: own[name] for name in (*told, *frames)},
            "start_timeout": base["start_timeout"] + START_TIMEOUT,
        }


def _coded(camera: Camera) -> bool:
    """Whether frames of a camera need others to be decoded, as far as is known."""
    return camera.track is not None and camera.track.codec != JPEG


class _Gate:
    """Keeps the camera open for a derived stream, and hears of it (`camera.Consumer`)."""

    def __init__(self, derived: Derived) -> None:
        self._derived = derived

    @property
    def viewers(self) -> int:
        return sum(consumer.viewers for consumer in self._derived.consumers)

    def take(self, item: Recorded) -> None:
        """Nothing: the FFmpeg reads from an outlet."""

    def state_changed(self, state: dict[str, Any]) -> None:
        self._derived.turned()
        self._derived.tell()

    def gone(self) -> None:
        self._derived.close()
        self._derived.turned()

    def again(self) -> None:
        """Nothing: it reads none of its frames."""

    def status(self) -> dict[str, Any]:
        derived = self._derived
        return {
            "camera": derived.base.name,
            "pid": 0,
            "every": False,
            "frames": derived.sequence,
            "backlog": 0,
            "lost": 0,
        }


class Derivatives:
    """All derived streams of a hub, `most` of them at most."""

    def __init__(self, layout: Layout, processes: Processes, files: ProgramFiles, tasks: Tasks, most: int) -> None:
        self.streams: dict[str, Derived] = {}
        self._layout = layout
        self._processes = processes
        self._files = files
        self._tasks = tasks
        self._most = most
        self._lock = asyncio.Lock()
        self._servers: dict[str, list[tuple[asyncio.Server, str]]] = {}

    async def get(self, base: Camera, shape: Shape) -> Derived:
        """The stream, made where there is none. Whoever gets it must join before it lets go of the event loop.

        Raises `TemporaryError` (`TooManyStreams`) beyond the limit, and where its program cannot be made known.
        """
        coded = _coded(base)
        name = f"{base.name}.{shape.key}"
        async with self._lock:
            found = self.streams.get(name)
            program = derived_program(self._layout, name, shape, coded=coded)
            rules = self._rules(base, shape, program)
            if found is not None and found.base is base and found.coded == coded:
                return found
            if found is not None:
                await self._end(found)
            if len(self.streams) >= self._most:
                for idle in [s for s in self.streams.values() if not s.consumers]:
                    await self._end(idle)
            if len(self.streams) >= self._most:
                raise TemporaryError(
                    f"{self._most} derived streams run, which is as many as may: ask for a width and fps that somebody "
                    "sees already, or come again later",
                    reason="TooManyStreams",
                )
            return await self._make(base, shape, program, rules)

    def _rules(self, base: Camera, shape: Shape, program: Program) -> Rules:
        patience = 2 * base.source.rules.stall_timeout + (3 / shape.fps if shape.fps else 0)
        return Rules(
            program=f"derived.{base.name}.{shape.key}",
            fingerprint=fingerprint(program.model_dump(mode="json")),
            close_after=CLOSE_AFTER,
            start_timeout=START_TIMEOUT + patience,
            stall_timeout=patience,
        )

    async def _make(self, base: Camera, shape: Shape, program: Program, rules: Rules) -> Derived:
        made = Derived(base, shape, self._layout, self._processes, self._changed)
        servers = self._servers[made.name] = []
        inlet, outlet = self._layout.input_socket(made.name), self._layout.output_socket(made.name)
        try:
            self._files.write(made.program, program, rules.fingerprint)
            await self._processes.ensure([made.program])
            servers.append((await listen(inlet, lambda: Ingest(made)), inlet))
            servers.append((await listen(outlet, made.outlet), outlet))
        except (OSError, PermanentError) as error:
            self._unlisten(made.name)
            reason = getattr(error, "reason", "NoSocket")
            raise TemporaryError(f"camera {base.name}: no derived stream: {error}", reason=reason) from None
        self.streams[made.name] = made
        self._tasks.start(made.source.run(), f"source of {made.name}")
        made.apply(rules, {})
        return made

    def _changed(self, camera: Camera) -> None:
        if not camera.consumers and not camera.source.life.running:
            self._tasks.start(self._retire(camera), f"end of {camera.name}")

    async def _retire(self, camera: Camera) -> None:
        async with self._lock:
            found = self.streams.get(camera.name)
            if found is camera and not found.consumers and found.source.life.state is CameraState.IDLE:
                await self._end(found)

    async def _end(self, derived: Derived) -> None:
        """Its process, its sockets and its files go; who looks at it comes again, and gets another."""
        self.streams.pop(derived.name, None)
        self._unlisten(derived.name)
        for consumer in tuple(derived.consumers):
            consumer.again()
        derived.base.discard(derived._gate)
        with contextlib.suppress(TemporaryError):
            await derived.source.end(5.0)
            await self.clear(derived.program)

    async def clear(self, program: str) -> None:
        """Make a program unknown, running or not."""
        try:
            await self._processes.forget([program])
            self._files.remove(program)
        except (TemporaryError, PermanentError, OSError) as error:
            log.warning("%s is left behind: %s", program, error)

    def suspect(self, name: str = "") -> None:
        """A process may have ended: one, or any."""
        for derived in self.streams.values():
            if name in ("", derived.name):
                derived.source.suspect()

    def _unlisten(self, name: str) -> None:
        for server, path in self._servers.pop(name, ()):
            unlisten(server, path)

    def close(self) -> None:
        for name in list(self._servers):
            self._unlisten(name)

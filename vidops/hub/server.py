"""All cameras of a host: their files, their sockets, and who watches them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import time
from collections.abc import Mapping
from typing import Any

from vidops.errors import TemporaryError
from vidops.hub.camera import Camera
from vidops.hub.derived import Derivatives, ProgramFiles
from vidops.hub.document import CameraDocument, parse_camera
from vidops.hub.ingest import Ingest
from vidops.hub.lifecycle import Rules
from vidops.hub.outlet import Outlet
from vidops.hub.session import Session
from vidops.hub.sockets import listen, unlisten
from vidops.ports import Processes, ProcessState
from vidops.resources.layout import Layout
from vidops.runtime.files import read_bounded
from vidops.runtime.hubwire import encode_line
from vidops.runtime.programs import HostFiles
from vidops.runtime.tasks import Tasks

log = logging.getLogger("vidops.hub")

MAX_DERIVED = 8
"""Derived streams of all cameras together: each is an FFmpeg that decodes and encodes."""
TELL_EVERY = 1.0
"""Seconds between news of counters; a change of state is told at once."""
STOP_TIMEOUT = 20.0
"""Seconds to wait for a source's end, its kill included, before a request is answered that it takes longer."""
JUST_NOW = 10.0
"""Seconds in which a hub comes back for the cameras that were open to be opened again ahead of their readers."""


class Hub:
    """`max_frame`: bytes of one JPEG; `max_backlog`: bytes that a reader of every frame may be behind; `stop_timeout`:
    seconds to wait for a source's end before a request is answered that it takes longer; `max_derived`: derived
    streams of all cameras together."""

    def __init__(
        self,
        layout: Layout,
        processes: Processes,
        *,
        max_frame: int,
        max_backlog: int,
        stop_timeout: float = STOP_TIMEOUT,
        files: ProgramFiles | None = None,
        max_derived: int = MAX_DERIVED,
    ) -> None:
        self.layout = layout
        self.processes = processes
        self.max_frame = max_frame
        self.max_backlog = max_backlog
        self.stop_timeout = stop_timeout
        self.cameras: dict[str, Camera] = {}
        self._removing: dict[str, Camera] = {}
        """Removed, and their sources perhaps not gone yet."""
        self.watchers: set[Session] = set()
        self.tasks = Tasks()
        self.derived = Derivatives(layout, processes, files or HostFiles(layout), self.tasks, max_derived)
        self._locks: dict[str, asyncio.Lock] = {}
        self._servers: dict[str, list[tuple[asyncio.Server, str]]] = {}
        self._dirty: set[str] = set()
        self._telling: asyncio.Handle | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`. Sources end then by themselves: they have nobody to write to."""
        await self._load()
        server = await listen(self.layout.hub_socket, lambda: Session(self))
        log.info("serving %d cameras", len(self.cameras))
        try:
            async with asyncio.TaskGroup() as group:
                loops = [group.create_task(self._events()), group.create_task(self._tell_counters())]
                await stopping.wait()
                for task in loops:
                    task.cancel()
        finally:
            unlisten(server, self.layout.hub_socket)
            for name in list(self._servers):
                self._unlisten(name)
            self.derived.close()
            await self.tasks.close()

    # -- cameras -----------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Take the cameras from their files. What a hub before this one had started is stopped before anything."""
        inventory: Mapping[str, ProcessState] | None = None
        try:
            inventory = await self.processes.inventory()
        except TemporaryError as error:
            log.warning("starting without an inventory, every source may run: %s", error)
        folder = os.path.dirname(self.layout.camera_file("x"))
        for entry in sorted(os.listdir(folder)):
            name, suffix = os.path.splitext(entry)
            if suffix != ".json":
                continue
            rules, document = self._read(name, os.path.join(folder, entry))
            try:
                camera = await self._add(name, running=inventory is None or _runs(inventory, name))
            except OSError as error:
                log.warning("camera %s cannot be served: %s", name, error)
                continue
            camera.apply(rules, document.description if document else {})
            if document is not None and document.device:
                self.tasks.start(camera.controls.apply(document.device, document.controls), f"controls of {name}")
            if inventory is not None and _was_open(inventory, name, time.time()):
                camera.source.readers_return()
        self._clear_sockets()
        for program, state in (inventory or {}).items():
            kind, _, name = program.partition(".")
            if kind == "source" and not state.stopped and name not in self.cameras:
                log.warning("%s runs and is no camera's: it is stopped", program)
                self.tasks.start(self.processes.stop(program), f"stop {program}")
            elif kind == "derived":
                # Of a hub before this one: its viewers come again.
                await self.derived.clear(program)

    def _read(self, name: str, path: str) -> tuple[Rules, CameraDocument | None]:
        try:
            document = parse_camera(json.loads(read_bounded(path)))
            if document.name != name:
                raise ValueError(f"it is that of {document.name!r}")
            return document.rules, document
        except (OSError, ValueError, RecursionError) as error:
            log.warning("camera %s: %s cannot be used: %s", name, path, error)
            return Rules(error=f"{path} cannot be used: {error}; apply the stack file again, it writes it anew"), None

    def _clear_sockets(self) -> None:
        """Remove what cameras that are no more left in the directories of sockets."""
        for path in (self.layout.input_socket(""), self.layout.output_socket("")):
            folder = os.path.dirname(path)
            for entry in os.listdir(folder):
                if entry.removesuffix(".sock") not in self.cameras:
                    os.unlink(os.path.join(folder, entry))

    async def apply(self, data: Mapping[str, Any]) -> None:
        """Take over a camera's words. Returns when a source that they replace is gone.

        Raises `ValueError` for bad words (what is there stays as it is), `TemporaryError` where sockets or the
        source's end make trouble.
        """
        document = parse_camera(data)
        name = document.name
        async with self._lock(name):
            await self._end(name)
            camera = self.cameras.get(name)
            if camera is None:
                try:
                    camera = await self._add(name, running=True)
                except OSError as error:
                    raise TemporaryError(f"camera {name} cannot be served: {error}", reason="NoSocket") from None
            camera.apply(document.rules, document.description)
            await camera.controls.apply(document.device, document.controls)
            await camera.source.settled(self.stop_timeout)

    async def _add(self, name: str, *, running: bool) -> Camera:
        """A camera with its two sockets. Raises `OSError`."""
        camera = Camera(name, self.layout.log_file(f"source.{name}"), self.processes, self.changed, self.max_frame)
        if running:
            camera.source.assume_running()
        inlet, outlet = self.layout.input_socket(name), self.layout.output_socket(name)
        servers = self._servers[name] = []
        try:
            servers.append((await listen(inlet, lambda: Ingest(camera)), inlet))
            servers.append((await listen(outlet, lambda: Outlet(camera, self.max_backlog)), outlet))
        except OSError:
            self._unlisten(name)
            raise
        self.cameras[name] = camera
        self.tasks.start(camera.source.run(), f"source of {name}")
        return camera

    async def remove(self, name: str) -> None:
        """Returns when its source is gone. Not there is fine. Raises `TemporaryError` where that takes too long."""
        async with self._lock(name):
            camera = self.cameras.pop(name, None)
            if camera is not None:
                self._removing[name] = camera
                self._unlisten(name)
                camera.close()
                for watcher in tuple(self.watchers):
                    watcher.tell(encode_line({"removed": name}))
            await self._end(name)

    async def _end(self, name: str) -> None:
        """Wait for the source of a removed camera to be gone."""
        if name in self._removing:
            await self._removing[name].source.end(self.stop_timeout)
            del self._removing[name]

    def _unlisten(self, name: str) -> None:
        for server, path in self._servers.pop(name, ()):
            unlisten(server, path)

    def _lock(self, name: str) -> asyncio.Lock:
        """One change of a camera at a time."""
        if len(self._locks) > 4 * len(self.cameras) + 100:
            self._locks = {n: lock for n, lock in self._locks.items() if lock.locked() or n in self.cameras}
        return self._locks.setdefault(name, asyncio.Lock())

    # -- news --------------------------------------------------------------------------------------------------

    def changed(self, camera: Camera) -> None:
        """A camera's state is another: watchers are told with the next turn of the loop, each state once."""
        self._dirty.add(camera.name)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = None
        dirty, self._dirty = self._dirty, set()
        for name in sorted(dirty):
            camera = self.cameras.get(name)
            if camera is not None and self.watchers:
                news = encode_line({"camera": camera.state()})
                for watcher in tuple(self.watchers):
                    watcher.tell(news)

    async def _tell_counters(self) -> None:
        counted: dict[str, tuple[int, int, float]] = {}
        while True:
            await asyncio.sleep(TELL_EVERY)
            now = {name: (c.sequence, c.drops.total(), c.fps) for name, c in self.cameras.items()}
            self._dirty.update(name for name, counts in now.items() if counted.get(name) != counts)
            counted = now
            self._tell()

    async def _events(self) -> None:
        """Every end of a source's process makes its camera look; a broken stream of events makes all look."""
        async for event in self.processes.events():
            kind, _, name = event.program.partition(".")
            if not event.program:
                for camera in self.cameras.values():
                    camera.source.suspect()
                self.derived.suspect()
            elif kind == "derived" and event.state not in ("STARTING", "RUNNING"):
                self.derived.suspect(name)
            elif kind == "source" and name in self.cameras and event.state not in ("STARTING", "RUNNING"):
                self.cameras[name].source.suspect()

    def status(self) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cameras": [c.state() for _, c in sorted(self.cameras.items())],
            "consumers": [consumer.status() for c in self.cameras.values() for consumer in c.consumers],
            "hub": {
                "pid": os.getpid(),
                "rss": _resident(),
                "max_rss": usage.ru_maxrss * 1024,
                "cpu": usage.ru_utime + usage.ru_stime,
            },
        }


def _runs(inventory: Mapping[str, ProcessState], name: str) -> bool:
    state = inventory.get(f"source.{name}")
    return state is not None and not state.stopped


def _was_open(inventory: Mapping[str, ProcessState], name: str, now: float) -> bool:
    """Whether a source runs, or ended by itself just now, as it does when its hub does; not one that was stopped."""
    state = inventory.get(f"source.{name}")
    return state is not None and (state.running or (state.state == "EXITED" and 0 <= now - state.since < JUST_NOW))


def _resident() -> int:
    """Bytes of memory that this process has now (proc(5), statm)."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

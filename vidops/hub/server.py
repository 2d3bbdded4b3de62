"""All cameras of a host: their files, their sockets, and who watches them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from vidops.errors import TemporaryError
from vidops.hub.camera import Camera
from vidops.hub.ingest import Ingest
from vidops.hub.lifecycle import Rules
from vidops.hub.outlet import Outlet
from vidops.hub.session import Session
from vidops.ports import Processes
from vidops.resources.layout import Layout
from vidops.resources.restart import RestartPolicy
from vidops.runtime.files import read_bounded
from vidops.runtime.hubwire import encode_line
from vidops.runtime.logtail import log_tail

log = logging.getLogger("vidops.hub")

TELL_EVERY = 1.0
"""Seconds between news of counters; a change of state is told at once."""


class Hub:
    """`max_frame`, `max_backlog`: bytes (see `resources.specs.HubSpec`)."""

    def __init__(self, layout: Layout, processes: Processes, *, max_frame: int, max_backlog: int) -> None:
        self.layout = layout
        self.processes = processes
        self.max_frame = max_frame
        self.max_backlog = max_backlog
        self.cameras: dict[str, Camera] = {}
        self.watchers: set[Session] = set()
        self._servers: dict[str, list[asyncio.Server]] = {}
        self._paths: dict[str, list[str]] = {}
        self._told: dict[str, bytes] = {}
        self._dirty: set[str] = set()
        self._telling: asyncio.Handle | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`; then stop every source."""
        await self._load()
        server = await _listen(self.layout.hub_socket, lambda: Session(self))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._events(), name="process events"),
                group.create_task(self._tell_counters(), name="counters"),
            ]
            await stopping.wait()
            for task in tasks:
                task.cancel()
        server.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.layout.hub_socket)
        await asyncio.gather(*(self.remove(name) for name in list(self.cameras)))

    # -- cameras -----------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Take the cameras from their files; stop what a hub before this one had running."""
        folder = os.path.dirname(self.layout.camera_file("x"))
        for entry in sorted(os.listdir(folder)):
            name, suffix = os.path.splitext(entry)
            if suffix == ".json":
                self._load_file(name, os.path.join(folder, entry))
        try:
            inventory = await self.processes.inventory()
        except TemporaryError as error:
            log.warning("starting without an inventory: %s", error)
            return
        for program, state in inventory.items():
            kind, _, name = program.partition(".")
            if kind == "source" and not state.stopped:
                if name in self.cameras:
                    self.cameras[name].assume_running()
                else:
                    await self.processes.stop(program)

    def _load_file(self, name: str, path: str) -> None:
        try:
            data = json.loads(read_bounded(path))
            if data["name"] != name:
                raise ValueError(f"it is that of {data['name']!r}")
            self.apply(data)
        except (OSError, ValueError, TypeError, LookupError) as error:
            log.warning("camera %s: its file cannot be used: %s", name, error)
            self._camera(name).refuse(f"its file cannot be used: {error}")

    def apply(self, data: dict[str, Any]) -> None:
        """Take over a camera's words (`reconcile.drivers.camera_json`). Raises `ValueError` for bad ones."""
        try:
            restart = RestartPolicy.model_validate(data["restart"])
        except ValidationError as error:
            raise ValueError(str(error)) from None
        on_demand = data["on_demand"]
        rules = Rules(
            program=data["program"],
            fingerprint=str(data["fingerprint"]),
            missing=str(data["missing"]),
            close_after=None if on_demand is None else float(on_demand["close_after"]),
            start_timeout=float(data["start_timeout"]),
            stall_timeout=float(data["stall_timeout"]),
            restart=restart,
        )
        self._camera(str(data["name"])).apply(rules, dict(data["description"]))

    def _camera(self, name: str) -> Camera:
        camera = self.cameras.get(name)
        if camera is None:
            camera = Camera(name, self.processes, self._last_words, self.changed)
            self.cameras[name] = camera
            self._open(camera)
        return camera

    def _open(self, camera: Camera) -> None:
        """Its two sockets. Bound at once, so that a source that is started now finds them."""
        loop = asyncio.get_running_loop()
        makers: tuple[tuple[str, Callable[[], asyncio.Protocol]], ...] = (
            (self.layout.input_socket(camera.name), lambda: Ingest(camera, self.max_frame)),
            (self.layout.output_socket(camera.name), lambda: Outlet(camera, self.max_backlog)),
        )
        self._paths[camera.name] = [path for path, _ in makers]
        self._servers[camera.name] = []

        async def serve(listener: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
            self._servers[camera.name].append(await loop.create_unix_server(make, sock=listener))

        for path, make in makers:
            task = loop.create_task(serve(_bind(path), make), name=f"sockets of {camera.name}")
            task.add_done_callback(_raise_in_loop)

    async def remove(self, name: str) -> None:
        """Returns when its source is gone. Not there is fine."""
        camera = self.cameras.pop(name, None)
        if camera is None:
            return
        for server in self._servers.pop(name, ()):
            server.close()
        for path in self._paths.pop(name, ()):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        await camera.close()
        self._told.pop(name, None)
        for watcher in tuple(self.watchers):
            watcher.tell(encode_line({"removed": name}))

    def _last_words(self, program: str) -> str:
        """The last line of a source's log: why it ended."""
        lines = log_tail(self.layout, program, 5, limit=8192)
        return next((text.strip()[:500] for text in reversed(lines) if text.strip()), "")

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
            if camera is None:
                continue
            news = encode_line({"camera": camera.state()})
            if self._told.get(name) != news:
                self._told[name] = news
                for watcher in tuple(self.watchers):
                    watcher.tell(news)

    async def _tell_counters(self) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY)
            for camera in self.cameras.values():
                self._dirty.add(camera.name)
            self._tell()

    async def _events(self) -> None:
        """Every change of a source's process makes its camera look; a broken stream of events makes all look."""
        async for event in self.processes.events():
            kind, _, name = event.program.partition(".")
            if not event.program:
                for camera in self.cameras.values():
                    camera.suspect()
            elif kind == "source" and name in self.cameras and event.state not in ("STARTING", "RUNNING"):
                self.cameras[name].suspect()

    def status(self) -> dict[str, Any]:
        consumers = [c.status() for camera in self.cameras.values() for c in camera.consumers if hasattr(c, "status")]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cameras": [c.state() for _, c in sorted(self.cameras.items())],
            "consumers": consumers,
            "hub": {"pid": os.getpid(), "max_rss": usage.ru_maxrss * 1024, "cpu": usage.ru_utime + usage.ru_stime},
        }


def _bind(path: str) -> socket.socket:
    """A listening unix socket, 0600, in place of whatever a dead hub left there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(128)
    listener.setblocking(False)
    return listener


async def _listen(path: str, make: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    return await asyncio.get_running_loop().create_unix_server(make, sock=_bind(path))


def _raise_in_loop(task: asyncio.Task[None]) -> None:
    """What a helper task raises is not swallowed."""
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error

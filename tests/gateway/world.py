"""A gateway on loopback for tests: real sockets and the real plugins, cameras that the test feeds itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from vidops.errors import PermanentError, TemporaryError
from vidops.gateway.gateway import Gateway
from vidops.gateway.generation import Services
from vidops.ports import Frame
from vidops.resources.catalogue import Catalogue
from vidops.resources.layout import Layout
from vidops.runtime.plugins import load_catalogue
from vidops.runtime.recordings import RecordingsReader
from vidops.runtime.secretrefs import secret
from vidops.testing.fakes import FakeControls

BOTH = ("hypercorn", "httptools")
"""The servers that there are (see tests/conftest.py)."""
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20 + b"\xff\xd9"


async def until(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    """Wait for a condition; fail with what it was."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g}s: {what}"
        await asyncio.sleep(0.005)


class FedSubscription:
    def __init__(self, cameras: FedCameras, camera: str, callbacks: tuple[Any, Any, Any]) -> None:
        self.cameras, self.camera = cameras, camera
        self.on_frame, self.on_state, self.on_gone = callbacks
        self.viewers = 1
        self.unknown = False
        self.open = True

    def close(self) -> None:
        self.open = False
        if self in self.cameras.subscriptions:
            self.cameras.subscriptions.remove(self)


class FedCameras(FakeControls):
    """`ports.Cameras` whose frames come from the test: `feed(name)` delivers one."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.connected = asyncio.Event()
        self.connected.set()
        self.known: dict[str, dict[str, Any]] = {n: {"name": n, "state": "Online", "viewers": 0} for n in names}
        self.subscriptions: list[FedSubscription] = []
        self.changes: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.sequence = 0
        self.shapes: list[tuple[str, dict[str, Any]]] = []
        """What was subscribed to, and how it was wanted."""
        self._shots: list[tuple[str, asyncio.Future[Frame]]] = []

    def states(self) -> Sequence[Mapping[str, object]]:
        return [self.known[name] for name in sorted(self.known)]

    def knows(self, camera: str) -> bool:
        return camera in self.known

    async def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        for name in sorted(self.known):
            yield {"camera": self.known[name]}
        while True:
            yield await self.changes.get()

    def change(self, name: str, **state: Any) -> None:
        """A camera's state is another now; without one, it is removed."""
        if state:
            self.known[name] = {"name": name, **state}
            self.changes.put_nowait({"camera": self.known[name]})
        else:
            del self.known[name]
            self.changes.put_nowait({"removed": name})

    def subscribe(
        self, camera: str, on_frame: Any, on_state: Any = None, on_gone: Any = None, **shape: Any
    ) -> FedSubscription:
        self.shapes.append((camera, shape))
        subscription = FedSubscription(self, camera, (on_frame, on_state, on_gone))
        self.subscriptions.append(subscription)
        if on_state is not None and camera in self.known:
            asyncio.get_running_loop().call_soon(on_state, self.known[camera])
        return subscription

    def feed(self, camera: str, data: bytes = JPEG) -> Frame:
        self.sequence += 1
        frame = Frame(data, self.sequence, 1_700_000_000 + self.sequence / 30)
        for subscription in [s for s in self.subscriptions if s.camera == camera]:
            subscription.on_frame(frame)
        for name, shot in self._shots:
            if name == camera and not shot.done():
                shot.set_result(frame)
        return frame

    def say(self, camera: str, **state: Any) -> None:
        self.known[camera].update(state)
        for subscription in [s for s in self.subscriptions if s.camera == camera]:
            if subscription.on_state is not None:
                subscription.on_state(self.known[camera])

    def remove(self, camera: str) -> None:
        self.known.pop(camera, None)
        for subscription in [s for s in self.subscriptions if s.camera == camera]:
            subscription.close()
            if subscription.on_gone is not None:
                subscription.on_gone()

    async def frames(self, camera: str) -> AsyncIterator[Frame]:
        queue: asyncio.Queue[Frame] = asyncio.Queue()
        subscription = self.subscribe(camera, queue.put_nowait)
        try:
            while True:
                yield await queue.get()
        finally:
            subscription.close()

    async def snapshot(self, camera: str, timeout: float = 10.0, max_age: float = 0.0) -> Frame:
        if camera not in self.known:
            raise PermanentError(f"there is no camera {camera}", reason="UnknownCamera")
        if self.known[camera]["state"] == "Failed":
            raise TemporaryError(str(self.known[camera]["message"]), reason=str(self.known[camera]["reason"]))
        shot: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._shots.append((camera, shot))
        async with asyncio.timeout(timeout):
            return await shot


class FixedRecordings(RecordingsReader):
    """Lists `rows`; everything else is asked of the disk."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.rows: list[dict[str, object]] = []

    async def list(
        self, *, camera: str = "", capture: str = "", begin: float = 0.0, end: float = inf, limit: int = 100
    ) -> Sequence[Mapping[str, object]]:
        return [row for row in self.rows if not camera or row["camera"] == camera][:limit]


class FixedControl:
    """A control plane that says `answer`, or does not answer."""

    def __init__(self) -> None:
        self.answer: dict[str, object] | None = {"sync": "Synced", "health": "Healthy", "resources": []}
        self.asked = 0
        self.posted: list[tuple[str, dict[str, object]]] = []
        self.refuses = ""

    async def status(self) -> Mapping[str, object]:
        self.asked += 1
        if self.answer is None:
            raise TemporaryError("the control plane does not run", reason="ControlPlaneDown")
        return self.answer

    async def post(self, path: str, body: Mapping[str, object]) -> Mapping[str, object]:
        self.posted.append((path, dict(body)))
        if self.answer is None:
            raise TemporaryError("the control plane does not run", reason="ControlPlaneDown")
        if self.refuses:
            raise PermanentError("no", reason=self.refuses)
        return {}


class World:
    """`await world.start(routes)` serves; `await world.edit(routes)` is a new generation."""

    def __init__(self, catalogue: Catalogue | None = None, server: str = "hypercorn") -> None:
        self.server = server
        self.root = tempfile.mkdtemp(prefix="vo", dir="/tmp")
        self.layout = Layout(f"{self.root}/run", f"{self.root}/state", f"{self.root}/data")
        for directory in (*self.layout.directories, self.layout.state_dir, self.layout.data_dir):
            Path(directory).mkdir(parents=True)
        self.cameras = FedCameras("door", "yard")
        self.recordings = FixedRecordings(self.layout)
        self.control = FixedControl()
        self.log: list[dict[str, Any]] = []
        services = Services(
            gateway="public",
            layout=self.layout,
            catalogue=catalogue or load_catalogue(),
            cameras=self.cameras,
            recordings=self.recordings,
            control=self.control,
            secret=secret,
            log=lambda record: self.log.append(dict(record)),
        )
        self.gateway = Gateway(services)

    def write(self, routes: Sequence[Mapping[str, Any]], **spec: Any) -> None:
        document = {
            "name": "public",
            "program": {"argv": ["x"]},
            "bind": ["127.0.0.1:0"],
            "server": {"type": self.server},
            "drain_timeout": 1.0,
            "routes": list(routes),
            **spec,
        }
        Path(self.layout.gateway_file("public")).write_text(json.dumps(document))

    async def start(self, routes: Sequence[Mapping[str, Any]], **spec: Any) -> int:
        self.write(routes, **spec)
        return await self.gateway.load()

    edit = start

    @property
    def port(self) -> int:
        return int(self.gateway.addresses[0].rpartition(":")[2])

    async def close(self) -> None:
        await self.gateway.close()
        shutil.rmtree(self.root)


def route(path: str, handler: str, *, chain: Sequence[Any] = (), methods: Sequence[str] = (), **options: Any) -> Any:
    """A route of a spec; links of the chain are names or {type, options}."""
    links = [{"type": link, "options": {}} if isinstance(link, str) else link for link in chain]
    return {"path": path, "methods": list(methods), "chain": links, "handler": {"type": handler, "options": options}}

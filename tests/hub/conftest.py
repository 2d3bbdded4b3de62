"""A real hub under a real supervisord, and cameras made the way the control plane makes them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.hub.fakes import FakeProcesses
from vidops.errors import TemporaryError
from vidops.hub.server import Hub
from vidops.ports import ProcessState
from vidops.resources.layout import Layout
from vidops.resources.resource import fingerprint
from vidops.resources.restart import RestartPolicy
from vidops.resources.specs import PYTHON, Program
from vidops.runtime import daemon
from vidops.runtime.hubclient import HubClient
from vidops.runtime.locks import make_tree
from vidops.runtime.programs import write_program
from vidops.runtime.supervisor import Supervisor
from vidops_plugins.sources import testsrc


@pytest.fixture
def layout() -> Iterator[Layout]:
    root = tempfile.mkdtemp(prefix="vo", dir="/tmp")
    made = Layout(run_dir=f"{root}/run", state_dir=f"{root}/state", data_dir=f"{root}/data")
    make_tree(made)
    yield made
    shutil.rmtree(root)


def picture(layout: Layout, camera: str, *, size: str = "320x240", rate: float = 30, codec: str = "mjpeg") -> Program:
    """The test picture's program."""
    mode = {"video_size": size, "framerate": rate}
    options = testsrc.TestSrc.model_validate({"source": "testsrc", "codec": codec, "mode": mode})
    program = testsrc.build(options, testsrc.SourceContext(camera, layout)).program
    assert program is not None
    return program


def camera_json(name: str, program: Program | None, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "program": f"source.{name}" if program else None,
        "fingerprint": fingerprint(program.model_dump(mode="json")) if program else "",
        "missing": "" if program else "no device with serial 1",
        "on_demand": {"close_after": 0.5},
        "start_timeout": 10.0,
        "stall_timeout": 2.0,
        "restart": RestartPolicy(base=0.2).model_dump(),
        "description": {"driver": "test"},
        **changes,
    }


@dataclass
class Host:
    """What a test acts on. `camera` does what the reconciler does."""

    layout: Layout
    supervisor: Supervisor
    client: HubClient
    sources: dict[str, str] = field(default_factory=dict)

    async def start_hub(self, *flags: str) -> None:
        program = Program(argv=(PYTHON, "-m", "vidops.hub", "--run-dir", self.layout.run_dir, *flags))
        write_program(self.layout, "hub", program, "hub")
        await self.supervisor.ensure(["hub"])
        await self.supervisor.start("hub")
        assert await self.client.ready(10), Path(self.layout.log_file("hub")).read_text()

    async def camera(self, name: str, program: Program | None = None, **changes: Any) -> None:
        document = camera_json(name, program, **changes)
        if program is not None:
            write_program(self.layout, f"source.{name}", program, document["fingerprint"])
            await self.supervisor.ensure([f"source.{name}"])
        Path(self.layout.camera_file(name)).write_text(json.dumps(document))
        await self.client.apply(document)

    async def process(self, program: str) -> ProcessState:
        return await self.supervisor.state(program)

    async def state(self, name: str) -> dict[str, Any]:
        """As the hub says it now."""
        return next(c for c in (await self.client.status())["cameras"] if c["name"] == name)

    async def until_state(self, name: str, *wanted: str, timeout: float = 15) -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def reached() -> bool:
            # A hub that is being started does not answer yet.
            with contextlib.suppress(TemporaryError):
                found.update(await self.state(name))
            return found.get("state") in wanted

        await until(reached, f"{name} is {wanted}", timeout)
        return found

    def log(self, program: str) -> str:
        path = Path(self.layout.log_file(program))
        return path.read_text() if path.exists() else ""


@pytest.fixture
async def host(layout: Layout) -> AsyncIterator[Host]:
    """supervisord and a hub run; everything is gone after the test."""
    it = Host(layout, Supervisor(layout), HubClient(layout))
    await it.supervisor.ensure_running()
    try:
        await it.client.start()
        await it.start_hub()
        yield it
    finally:
        await it.client.close()
        await daemon.shutdown(layout)


async def until(condition: Callable[[], Awaitable[object]], what: str, timeout: float = 10.0) -> None:
    """Wait for a condition; fail with what it was."""
    deadline = time.monotonic() + timeout
    while not await condition():
        assert time.monotonic() < deadline, f"not within {timeout:g}s: {what}"
        await asyncio.sleep(0.01)


def running_sources(layout: Layout) -> list[int]:
    """Pids of every process that writes to an input socket of this layout, whoever started it."""
    mark = f"unix:{layout.run_dir}/in/".encode()
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and mark in Path(f"/proc/{entry}/cmdline").read_bytes():
                found.append(int(entry))
    return found


@dataclass
class Inside:
    """A hub in this process, with sources that are tasks."""

    layout: Layout
    processes: FakeProcesses
    hub: Hub
    client: HubClient

    async def camera(self, name: str = "door", **changes: Any) -> None:
        await self.client.apply(camera_json(name, Program(argv=("source",)), **changes))

    def state(self, name: str = "door") -> dict[str, Any]:
        return self.hub.cameras[name].state()

    async def until_state(self, *wanted: str, name: str = "door") -> None:
        await until_true(lambda: self.state(name)["state"] in wanted, f"{name} is {wanted}: {self.state(name)}")


@pytest.fixture
async def inside(layout: Layout) -> AsyncIterator[Inside]:
    processes = FakeProcesses(layout)
    hub = Hub(layout, processes, max_frame=100_000, max_backlog=200_000, stop_timeout=0.5)
    stopping = asyncio.Event()
    async with HubClient(layout) as client, asyncio.TaskGroup() as group:
        group.create_task(hub.run(stopping))
        assert await client.ready(5)
        try:
            yield Inside(layout, processes, hub, client)
        finally:
            stopping.set()
            for program in list(processes.running):
                await processes.kill(program)


async def until_true(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    async def check() -> object:
        return condition()

    await until(check, what, timeout)

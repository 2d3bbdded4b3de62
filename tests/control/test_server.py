"""The control API on its real socket, against a control plane that is only an object."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from vidops.control.client import ControlClient, ControlError, NotRunningError
from vidops.control.server import build, serve_control
from vidops.errors import Mark, Problem, StackError, VidopsError


class Plane:
    """`control.server.Control` that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.error: VidopsError | None = None

    def report(self) -> Mapping[str, Any]:
        return {"sync": "Synced"}

    async def plan(self, path: str) -> Mapping[str, Any]:
        self.asked.append(("plan", path))
        if self.error:
            raise self.error
        return {"actions": []}

    async def apply(self, path: str) -> Mapping[str, Any]:
        self.asked.append(("apply", path))
        if self.error:
            raise self.error
        return {"revision": 3}

    async def healthy(self, timeout: float) -> bool:
        self.asked.append(("healthy", timeout))
        return False

    async def recordings(self, camera: str, limit: int) -> Sequence[Mapping[str, Any]]:
        self.asked.append(("recordings", camera, limit))
        return [{"camera": camera}]

    def stop(self) -> None:
        self.asked.append("stop")


class Served:
    def __init__(self, plane: Plane, path: str) -> None:
        self.plane = plane
        self.path = path
        self._client = ControlClient(path)

    async def get(self, path: str) -> Any:
        return await asyncio.to_thread(self._client.get, path)

    async def post(self, path: str, body: Any) -> Any:
        return await asyncio.to_thread(self._client.post, path, body)

    async def refused(self, path: str, body: Any) -> ControlError:
        with pytest.raises(ControlError) as caught:
            await self.post(path, body)
        return caught.value


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    with tempfile.TemporaryDirectory(prefix="vo") as folder:
        plane, path = Plane(), f"{folder}/control.sock"
        stopping, listening = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(serve_control(build(plane), path, stopping.wait, listening.set))
        await listening.wait()
        yield Served(plane, path)
        stopping.set()
        await asyncio.wait_for(task, 10)
        assert not os.path.exists(path)


async def test_only_its_owner_may_talk_to_it(served: Served) -> None:
    assert stat.S_IMODE(os.stat(served.path).st_mode) == 0o600


async def test_reading(served: Served) -> None:
    assert await served.get("/v1/status") == {"sync": "Synced"}
    assert await served.get("/v1/recordings?camera=door&limit=99999999") == {"recordings": [{"camera": "door"}]}
    assert served.plane.asked == [("recordings", "door", 10_000)]


async def test_an_apply_that_waits_says_how_it_went(served: Served) -> None:
    answer = await served.post("/v1/apply", {"path": "/s.yaml", "wait": True, "timeout": 2})
    assert answer == {"revision": 3, "healthy": False, "status": {"sync": "Synced"}}
    assert served.plane.asked == [("apply", "/s.yaml"), ("healthy", 2.0)]


async def test_a_bad_stack_comes_with_every_problem(served: Served) -> None:
    served.plane.error = StackError([Problem(Mark("s.yaml", 3, 5), "devices.x", "unknown key", "did you mean y?")])
    error = await served.refused("/v1/apply", {"path": "/s.yaml"})
    assert error.status == 422
    assert error.problem["problems"][0]["text"] == "s.yaml:3:5: devices.x: unknown key (did you mean y?)"


async def test_what_failed_and_was_undone_is_a_conflict(served: Served) -> None:
    served.plane.error = VidopsError("it was not applied: no frame")
    error = await served.refused("/v1/plan", {"path": "/s.yaml"})
    assert (error.status, str(error)) == (409, "it was not applied: no frame")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/apply", {"path": "relative.yaml"}),
        ("/v1/apply", {"path": 5}),
        ("/v1/apply", {}),
        ("/v1/plan", []),
        ("/v1/apply", {"path": "/s.yaml", "wait": True, "timeout": -1}),
        ("/v1/apply", {"path": "/s.yaml", "wait": True, "timeout": True}),
    ],
)
async def test_bad_requests_are_named(served: Served, path: str, body: Any) -> None:
    assert (await served.refused(path, body)).status == 400


async def test_unknown_paths_and_sizes(served: Served) -> None:
    assert (await served.refused("/v1/nothing", {})).status == 404
    assert (await served.refused("/v1/apply", {"path": "/" + "x" * 100_000})).status == 413


async def test_a_refusal_before_the_whole_body_was_sent_is_heard(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 413 \r\nContent-Length: 20\r\nConnection: close\r\n\r\n{"title": "too long"}')
        writer.close()

    async with await asyncio.start_unix_server(refuse, tmp_path / "s"):
        client = ControlClient(str(tmp_path / "s"))
        with pytest.raises(ControlError, match="too long") as caught:
            await asyncio.to_thread(client.post, "/v1/apply", {"content": "x" * 5_000_000})
    assert caught.value.status == 413


async def test_nobody_there_says_how_to_start_one() -> None:
    with pytest.raises(NotRunningError, match="vidops run FILE"):
        await asyncio.to_thread(ControlClient("/nowhere/control.sock").get, "/v1/status")

"""A gateway as the process that it is on a host."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidops.errors import TemporaryError
from vidops.resources.layout import Layout
from vidops.resources.resource import JSON
from vidops.runtime import gatewayclient
from vidops.runtime.files import atomic_write
from vidops.runtime.locks import make_tree

NAME = "web"


class Process:
    """`await start(routes)`, `await edit(routes)`, `await stop()`. It is gone after `close`, whatever happened."""

    def __init__(
        self, python: str = sys.executable, env: Mapping[str, str] | None = None, server: str = "hypercorn"
    ) -> None:
        self.server = server
        self.name = NAME
        self.root = tempfile.mkdtemp(prefix="vo", dir="/tmp")
        self.layout = Layout(f"{self.root}/run", f"{self.root}/state", f"{self.root}/data")
        make_tree(self.layout)
        self.status: JSON = {}
        self._python = python
        self._env = dict(env or {})
        self._process: asyncio.subprocess.Process | None = None

    def beside(self, number: int) -> Process:
        """Another process of the same gateway; to be closed before this one."""
        other = Process(self._python, self._env, self.server)
        shutil.rmtree(other.root)
        other.root, other.layout, other.name = self.root, self.layout, f"{NAME}.{number}"
        return other

    def write(self, routes: Sequence[Mapping[str, Any]], **spec: Any) -> None:
        document = {
            "name": self.name,
            "fingerprint": spec.pop("fingerprint", ""),
            "program": {"argv": ["x"]},
            "bind": ["127.0.0.1:0"],
            "server": {"type": self.server},
            "drain_timeout": 2.0,
            "routes": list(routes),
            **spec,
        }
        atomic_write(self.layout.gateway_file(self.name), json.dumps(document))

    async def launch(self) -> None:
        """The process, whether it comes to serve or not."""
        with open(f"{self.root}/log", "ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._python, "-m", "vidops.gateway", self.name, *self.layout.argv,
                env={**os.environ, **self._env}, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def start(self, routes: Sequence[Mapping[str, Any]], *, timeout: float = 20.0, **spec: Any) -> None:
        self.write(routes, **spec)
        await self.launch()
        async with asyncio.timeout(timeout):
            while not self.status:
                assert self.process.returncode is None, self.log()
                try:
                    self.status = await self.ask("status")
                except TemporaryError:
                    await asyncio.sleep(0.02)

    async def ask(self, op: str) -> JSON:
        return await gatewayclient.request(self.layout, self.name, {"op": op})

    async def succeed(self, **spec: Any) -> None:
        """Another process in the place of this one, which ends once the other serves."""
        old = self.process
        if spec:
            self.write([{"path": "/hi", "handler": {"type": "respond", "options": {"body": "hi"}}}], **spec)
        await self.launch()
        async with asyncio.timeout(20.0):
            while self.status.get("pid") != self.process.pid:
                assert self.process.returncode is None, self.log()
                self.status = await self.ask("status")
                await asyncio.sleep(0.02)
        old.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15.0):
            assert await old.wait() == 0

    async def edit(self, routes: Sequence[Mapping[str, Any]], **spec: Any) -> JSON:
        self.write(routes, **spec)
        return await self.ask("reload")

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def port(self) -> int:
        return int(self.status["binds"][0].rpartition(":")[2])

    async def wait(self, timeout: float = 15.0) -> int:
        """The exit code, once it has ended."""
        async with asyncio.timeout(timeout):
            return await self.process.wait()

    async def stop(self, number: int = signal.SIGTERM, timeout: float = 15.0) -> int:
        self.process.send_signal(number)
        return await self.wait(timeout)

    def cpu(self) -> float:
        """Seconds of CPU that it has used (proc(5), stat)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        return Path(f"{self.root}/log").read_text()

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [record for record in map(json.loads, self.log().splitlines()) if record.get("event") == event]

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self.name == NAME:
            shutil.rmtree(self.root)

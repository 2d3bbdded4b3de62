"""A legacy backend in a network of its own, without a device, shows this host's cameras."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from tests.gateway.ws import Socket

pytestmark = pytest.mark.integration

BACKEND = Path(__file__).parent / "legacy_backend.py"
OPTIONS: dict[str, Any] = {
    "paths": ["/api/*"],
    "fields": {"id": "name", "serial": "serial", "status": "state"},
    "identity": {"serial": "serial", "id": "name"},
    "messages": {"pointer": "/payload/devices"},
}


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[str]:
    """The socket of a backend that has no network but its own, and no /dev."""
    folder = tempfile.TemporaryDirectory(prefix="vo", dir="/tmp")
    path = f"{folder.name}/app.sock"
    script = f"mount -t tmpfs none /dev && mount -t sysfs none /sys && exec {sys.executable} {BACKEND} {path}"
    process = subprocess.Popen(["unshare", "--net", "--mount", "--", "sh", "-c", script], stderr=subprocess.PIPE)
    try:
        async with asyncio.timeout(20):
            while not Path(path).exists():
                if process.poll() is not None:
                    pytest.skip(f"needs root, for a network of its own: {(process.stderr or b'')}")
                await asyncio.sleep(0.02)
        yield path
    finally:
        process.kill()
        process.wait()
        folder.cleanup()


async def serve(world: World, backend: str, **options: Any) -> None:
    link = {"type": "inject_devices", "options": {**OPTIONS, **options}}
    world.cameras.known["door"] |= {"description": {"serial": "A1"}}
    await world.start([route("/api/**", "proxy", chain=[link], upstreams=[f"unix:{backend}"], websocket=True)])


EXPECTED = [
    {"serial": "A1", "label": "front door", "id": "door", "status": "Online"},
    {"id": "printer", "label": "a printer"},
    {"id": "yard", "serial": None, "status": "Online"},
]


async def test_its_answers_list_this_hosts_cameras(world: World, backend: str) -> None:
    await serve(world, backend)
    async with await Client.connect(world.port) as client:
        answer = await client.get("/api/devices")
        assert answer.json()["devices"] == EXPECTED
        assert answer.json()["network"] == ["lo"], "it is alone in its network"
        assert answer.headers["etag"] != '"backend"'
        same = await client.get("/api/devices", headers=f"If-None-Match: {answer.headers['etag']}\r\n")
        assert (same.status, same.body) == (304, b"")
        world.cameras.change("door", state="Missing", description={"serial": "A1"})
        other = await client.get("/api/devices", headers=f"If-None-Match: {answer.headers['etag']}\r\n")
        assert other.status == 200
        assert other.json()["devices"][0]["status"] == "Missing"
        head = await client.get("/api/devices", method="HEAD")
        assert not head.headers.keys() & {"content-length", "etag"}, "what the backend says is of another document"


@pytest.mark.parametrize("accept", ["gzip", "identity"])
async def test_compressed_answers_too(world: World, backend: str, accept: str) -> None:
    await serve(world, backend)
    answer = await get(world.port, "/api/packed", headers=f"Accept-Encoding: {accept}\r\n")
    assert "content-encoding" not in answer.headers
    assert answer.json()["devices"] == EXPECTED


async def test_others_pass_as_they_came(world: World, backend: str) -> None:
    await serve(world, backend, paths=["/api/[!d]*"])
    async with await Client.connect(world.port) as client:
        for path in ("/api/text", "/api/large", "/api/devices"):
            answer = await client.get(path)
            assert answer.headers["etag"] == '"backend"'
            assert json.loads(answer.body)["devices"][1] == {"id": "printer", "label": "a printer"}
            assert len(json.loads(answer.body)["devices"]) == 2
        packed = await client.get("/api/packed", headers="Accept-Encoding: gzip\r\n")
        assert len(packed.json()["devices"]) == 3
    await serve(world, backend, limit="100B")
    packed = await get(world.port, "/api/packed", headers="Accept-Encoding: gzip\r\n")
    assert json.loads(gzip.decompress(packed.body))["devices"][0]["serial"] == "A1"


async def test_its_websocket_lists_them_live(world: World, backend: str) -> None:
    await serve(world, backend)
    async with Socket(world.port, "/api/ws") as socket:
        assert await socket.get() == {"type": "hello"}
        assert (await socket.get())["payload"]["devices"] == EXPECTED
        world.cameras.change("yard", state="Failed")
        changed = await socket.get()
        assert changed["type"] == "devices"
        assert changed["payload"]["devices"][2] == {"id": "yard", "serial": None, "status": "Failed"}

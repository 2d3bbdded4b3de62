"""stacks/host-services.yaml, whole: a front, a gateway, the cameras, the registry, and a backend in a container."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.gateway.ws import Socket
from tests.integration.viewer import Viewer
from vidops.testing import Host, free_port, wait_until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BACKEND = ROOT / "tests" / "plugins" / "inject_devices" / "legacy_backend.py"
TENANTS = """
CREATE TABLE tenant_devices (tenant, device);
CREATE TABLE tenant_members (tenant, member);
INSERT INTO tenant_devices VALUES ('acme', 'door'), ('globex', 'yard');
INSERT INTO tenant_members VALUES ('acme', 'ann'), ('globex', 'bob');
"""
SECRET = "a secret of the tests, of at least 32 bytes"


@dataclass
class Services:
    """`ask` over the front's one address."""

    host: Host
    ports: dict[str, int]

    def ask(self, path: str, *, port: str = "front", method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=20)
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return connection.getresponse()

    def json(self, path: str, **options: Any) -> Any:
        answer = self.ask(path, **options)
        assert answer.status == 200, (path, answer.status, answer.read())
        return json.loads(answer.read())


def token(**claims: Any) -> str:
    now = int(time.time())
    known = {"iss": "backend", "aud": "host-services", "sub": "ann", "iat": now, "exp": now + 600}
    return jwt.encode({"alg": "HS256"}, {**known, **claims}, OctKey.import_key(SECRET))


@pytest.fixture
def services(vidops_host: Callable[..., Host]) -> Iterator[Services]:
    ports = {name: free_port() for name in ("gateway", "camera", "registry", "front")}
    env = {f"VIDOPS_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    env |= {"VIDOPS_PORT": str(ports["gateway"]), "VIDOPS_JWT_SECRET": SECRET}
    text = (ROOT / "stacks" / "host-services.yaml").read_text()
    host = vidops_host(text, start=False, env=env)
    shutil.copytree(ROOT / "stacks" / "web", host.root / "web")
    path = host.root / "app.sock"
    host.env["VIDOPS_DATABASE"] = str(host.root / "customers.db")
    with contextlib.closing(sqlite3.connect(host.env["VIDOPS_DATABASE"])) as database:
        database.executescript(TENANTS)
    host.env["VIDOPS_CACHE_TTL"] = "1h"
    host.env["VIDOPS_UPSTREAM"] = f"unix:{path}"
    # A container: a network with nothing in it, and no device.
    script = f"mount -t tmpfs none /dev && mount -t sysfs none /sys && exec {sys.executable} {BACKEND} {path}"
    backend = subprocess.Popen(["unshare", "--net", "--mount", "--", "sh", "-c", script], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: path.exists() or backend.poll() is not None, timeout=20)
        if backend.poll() is not None:
            pytest.skip("needs root, for a container's network and devices")
        host.start()
        host.until(lambda: host.status()["sync"] == "Synced" and not troubles(host), timeout=60, what="all is healthy")
        yield Services(host, ports)
    finally:
        backend.kill()
        backend.wait()


def troubles(host: Host) -> list[str]:
    return [r["name"] for r in host.status()["resources"] if r["health"] not in ("Healthy", "Suspended")]


def ids(services: Services, bearer: str) -> list[str]:
    return [d["id"] for d in services.json("/api/devices", Authorization=bearer)["devices"] if d.get("status")]


def test_the_whole_host(services: Services) -> None:
    bearer = f"Bearer {token()}"

    # The application, and what it may run.
    page = services.ask("/some/view", Accept="text/html")
    policy, body = str(page.headers["content-security-policy"]), page.read().decode()
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'<script nonce="{nonce}">' in body
    assert services.ask("/missing.js").status == 404

    # The backend, which has no network and no device, lists this host's cameras; to whom it may concern.
    assert services.ask("/api/devices").status == 401
    assert services.ask("/api/devices", Authorization=f"Bearer {token(aud='others')}").status == 401
    answer = services.ask("/api/devices", Authorization=bearer)
    assert answer.headers["ratelimit"]
    listed = json.loads(answer.read())
    assert listed["network"] == ["lo"]
    assert {"id": "door", "serial": None, "status": "Online"} in listed["devices"]
    assert {"id": "printer", "label": "a printer"} in listed["devices"]

    # Frames, through both gateways.
    viewer = Viewer(services.ports["front"], "door", prefix="/cameras")
    try:
        services.host.until(lambda: len(viewer.arrivals) > 10, what="frames through the front")
    finally:
        viewer.close()

    # What front ends of before ask for.
    for path in ("/cameras/api/devices", "/cameras/devices", "/cameras/v1/devices"):
        assert [d["name"] for d in services.json(path)["devices"]] == ["door", "yard"]
    assert services.ask("/cameras/snapshot/yard").read()[:3] == b"\xff\xd8\xff"
    assert services.json("/devices/door", port="registry")["name"] == "door"
    assert services.ask("/captures/when-asked/start", port="registry", method="POST").status in (200, 202, 204)

    # Recordings and figures, for who is signed in.
    assert services.ask("/media").status == 401
    assert services.json("/media", Authorization=bearer)["recordings"] is not None

    # A tenant's own, for its members, as the database has it.
    services.host.until(
        lambda: {r["camera"] for r in services.json("/media", Authorization=bearer)["recordings"]} == {"door", "yard"},
        timeout=40,
        what="recordings of both",
    )
    own = services.json("/tenants/acme/media", Authorization=bearer)["recordings"]
    assert {r["camera"] for r in own} == {"door"}
    assert services.ask("/tenants/acme/media").status == 401
    assert services.ask("/tenants/globex/media", Authorization=bearer).status == 403

    # What is public is asked of the backend once.
    first, second = services.ask("/api/public/news"), services.ask("/api/public/news")
    assert (first.status, second.status) == (200, 200)
    assert "age" not in first.headers
    assert int(second.headers["age"]) >= 0
    assert first.read() == second.read()

    figures = services.ask("/metrics", Authorization=bearer).read().decode()
    assert 'vidops_http_requests_total{method="GET",route="/api/**",status="401"} 2.0' in figures
    assert 'vidops_camera_online{camera="door"} 1.0' in figures


async def test_its_websocket_tells_of_edits(services: Services) -> None:
    headers = {"authorization": f"Bearer {token()}"}
    async with Socket(services.ports["front"], "/api/ws", {}) as refused:
        assert refused.status == 401
    async with Socket(services.ports["front"], "/api/ws", {**headers, "origin": "https://evil.example"}) as foreign:
        assert foreign.status == 403
    async with Socket(services.ports["front"], "/api/ws", headers) as socket:
        assert await socket.get() == {"type": "hello"}
        told = await socket.get()
        assert {"door", "yard"} <= {d["id"] for d in told["payload"]["devices"] if "id" in d}
        text = services.host.stack_path.read_text()
        # A camera goes: those who listen hear of it without asking.
        shorter = "\n".join(line for line in text.splitlines() if "yard" not in line) + "\n"
        await asyncio.to_thread(services.host.stack_path.write_text, shorter)
        while "yard" in {d.get("id") for d in told["payload"]["devices"]}:
            told = await socket.get(timeout=30)
    bearer = headers["authorization"]
    assert "yard" not in ids(services, bearer)

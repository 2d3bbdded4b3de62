"""A proxy and a server of files against Caddy with `reverse_proxy` and `file_server` alone, in one run. Prints."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import uvloop

from tests.bench.test_hub import cpu
from tests.gateway.client import Client
from tests.plugins.identity.tokens import AUDIENCE, ISSUER, claims, key, public, sign
from vidops.testing import Host, free_port

pytestmark = [pytest.mark.bench, pytest.mark.integration]

UPSTREAM = """
import asyncio, sys, uvloop
HEAD = "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: {}\\r\\n\\r\\n"
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            body = bytes(10_000_000) if b"/big" in head else b'{"ok": true}'
            writer.write(HEAD.format(len(body)).encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
uvloop.run(main())
"""


CHAIN = """
  - access_log
  - metrics
  - {{type: rate_limit, limit: 1000000, per: 1s}}
  - {{type: jwt, issuer: "{issuer}", audience: {audience}, keys: {{file: {keys}}}}}
  - {{type: tenant, from: [{{claim: tid}}]}}
"""
"""What an API is likely to stand behind. Caddy's `reverse_proxy` beside it stands behind nothing."""
TOLD = "{type: respond, body: '{\"ok\": true}', content_type: application/json}"


@pytest.fixture
def peers(vidops_host: object, tmp_path: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """Port and process of each."""
    if shutil.which("caddy") is None:
        pytest.skip("needs caddy")
    upstream, ours, swift, theirs = (free_port() for _ in range(4))
    backend = subprocess.Popen([sys.executable, "-c", UPSTREAM, str(upstream)])
    config = tmp_path / "Caddyfile"
    files = tmp_path / "files"
    files.mkdir()
    (files / "one").write_bytes(os.urandom(1_000_000))
    config.write_text(
        f"{{\n admin off\n auto_https off\n}}\n:{theirs} {{\n"
        f" handle_path /files/* {{\n root * {files}\n file_server\n }}\n"
        ' handle /told {\n header Content-Type application/json\n respond "{\\"ok\\": true}"\n }\n'
        f" handle {{\n reverse_proxy 127.0.0.1:{upstream}\n }}\n}}\n"
    )
    words = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
    caddy = subprocess.Popen(words, env={**os.environ, "GOMAXPROCS": "1"}, stderr=subprocess.DEVNULL)
    keys = tmp_path / "keys"
    keys.write_text(json.dumps({"keys": [public(key("RSA"))]}))
    text = "apiVersion: vidops/v1\ntenants:\n  directory: {type: static, tenants: {acme: {members: [ann]}}}\n"
    text += "middleware:\n  guarded:" + indent(CHAIN.format(issuer=ISSUER, audience=AUDIENCE, keys=keys), "  ")
    text += "gateways:\n"
    for name, port, server in (("main", ours, "hypercorn"), ("swift", swift, "httptools")):
        text += (
            f"  {name}:\n"
            f"    bind: 127.0.0.1:{port}\n"
            f"    server: {{type: {server}}}\n"
            "    routes:\n"
            f"      - {{path: /files/**, handler: {{type: static, root: {files}}}}}\n"
            f"      - {{path: /told, handler: {TOLD}}}\n"
        )
        behind = f'handler: {{type: proxy, upstreams: ["http://127.0.0.1:{upstream}"]}}'
        text += f"      - {{path: /guarded/**, chain: [guarded], {behind}}}\n      - {{path: /**, {behind}}}\n"
    host: Host = vidops_host(text)  # type: ignore[operator]
    host.healthy()
    try:
        yield {
            "hypercorn": (ours, host.pid("gateway/main")),
            "httptools": (swift, host.pid("gateway/swift")),
            "caddy": (theirs, caddy.pid),
        }
    finally:
        for process in (backend, caddy):
            process.kill()
            process.wait()


async def load(port: int, path: str, count: int, connections: int) -> float:
    """Requests a second."""

    async def one() -> None:
        async with await Client.connect(port) as client:
            for _ in range(count // connections):
                assert (await client.get(path)).status == 200

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(connections)))
    return count / (time.monotonic() - began)


@pytest.mark.parametrize(
    ("path", "count", "connections", "least"),
    [("/small", 4000, 8, 0.05), ("/big", 40, 4, 0.5), ("/files/one", 400, 4, 0.25)],
)
def test_against_caddy(
    peers: dict[str, tuple[int, int]], path: str, count: int, connections: int, least: float
) -> None:
    rates: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(3):
        for name, (port, pid) in peers.items():
            before = cpu(pid)
            rates[name].append(uvloop.run(load(port, path, count, connections)))
            print(
                f"\n{path} {name}: {rates[name][-1]:.0f}/s, {1e6 * (cpu(pid) - before) / count:.0f} us of a core each"
            )
    ratios = ratios_of(path, rates)
    assert ratios["hypercorn"] >= least
    assert ratios["httptools"] >= least


def ratios_of(what: str, rates: dict[str, list[float]]) -> dict[str, float]:
    """Of the medians, to Caddy's."""
    found = {name: statistics.median(some) / statistics.median(rates["caddy"]) for name, some in rates.items()}
    print(f"\n{what}: of Caddy's, " + ", ".join(f"{name} {found[name]:.2f}" for name in ("hypercorn", "httptools")))
    return found


class Asker(asyncio.Protocol):
    """Asks for something small again and again, `depth` requests ahead, at as little cost as Python can."""

    def __init__(self, path: str, count: int, depth: int) -> None:
        more = f"Authorization: Bearer {token()}\r\n" if path.startswith("/guarded") else ""
        self.request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()
        self.left, self.depth, self.waiting = count, depth, 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.ask()

    def ask(self) -> None:
        self.waiting = min(self.depth, self.left)
        self.left -= self.waiting
        if self.waiting:
            self.transport.write(self.request * self.waiting)
        elif not self.done.done():
            self.done.set_result(None)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        # An answer's beginning is never cut in two: it is small, and written at once.
        self.waiting -= data.count(b"HTTP/1.1 200")
        if self.waiting == 0:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("it was closed"))


@cache
def token() -> str:
    return sign(claims(roles=["viewer"], scope="a b c", email="ann@example.com", tid="acme"), "RS256", kid="k1")


async def small(port: int, path: str, count: int, connections: int, depth: int) -> float:
    """Requests a second."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    made = [
        await loop.create_connection(lambda: Asker(path, count // connections, depth), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(asker.done for _, asker in made))
    return count / (time.monotonic() - began)


@pytest.mark.parametrize(("path", "depth"), [("/told", 1), ("/told", 16), ("/small", 1), ("/guarded/small", 1)])
def test_small_answers(peers: dict[str, tuple[int, int]], path: str, depth: int) -> None:
    """What a server itself takes for a small request: for the gateway's own answer, and for one of another service,
    with a chain before it and without."""
    count, rates, costs = 8000, {name: [] for name in peers}, {name: [] for name in peers}  # type: ignore[var-annotated]
    for _ in range(3):
        for name, (port, pid) in peers.items():
            before = cpu(pid)
            rates[name].append(uvloop.run(small(port, path, count, 8, depth)))
            costs[name].append(1e6 * (cpu(pid) - before) / count)
    for name in peers:
        rate, cost = statistics.median(rates[name]), statistics.median(costs[name])
        print(f"\n{path}, {depth} at a time, {name}: {rate:.0f}/s, {cost:.0f} us of a core each")
    ratios = ratios_of(f"{path}, {depth} at a time", rates)
    assert ratios["httptools"] > ratios["hypercorn"]

"""A proxy and a server of files against Caddy with `reverse_proxy` and `file_server` alone, in one run. Prints."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.bench.test_hub import cpu
from tests.gateway.client import Client
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


@pytest.fixture
def peers(vidops_host: object, tmp_path: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """Port and process of each."""
    if shutil.which("caddy") is None:
        pytest.skip("needs caddy")
    upstream, ours, theirs = free_port(), free_port(), free_port()
    backend = subprocess.Popen([sys.executable, "-c", UPSTREAM, str(upstream)])
    config = tmp_path / "Caddyfile"
    files = tmp_path / "files"
    files.mkdir()
    (files / "one").write_bytes(os.urandom(1_000_000))
    config.write_text(
        f"{{\n admin off\n auto_https off\n}}\n:{theirs} {{\n"
        f" handle_path /files/* {{\n root * {files}\n file_server\n }}\n"
        f" handle {{\n reverse_proxy 127.0.0.1:{upstream}\n }}\n}}\n"
    )
    words = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
    caddy = subprocess.Popen(words, env={**os.environ, "GOMAXPROCS": "1"}, stderr=subprocess.DEVNULL)
    host: Host = vidops_host(  # type: ignore[operator]
        "apiVersion: vidops/v1\ngateways:\n  main:\n"
        f"    bind: 127.0.0.1:{ours}\n"
        "    routes:\n"
        f"      - {{path: /files/**, handler: {{type: static, root: {files}}}}}\n"
        f'      - {{path: /**, handler: {{type: proxy, upstreams: ["http://127.0.0.1:{upstream}"]}}}}\n'
    )
    host.healthy()
    try:
        yield {"vidops": (ours, host.pid("gateway/main")), "caddy": (theirs, caddy.pid)}
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
    ratio = statistics.median(rates["vidops"]) / statistics.median(rates["caddy"])
    print(f"\n{path}: {ratio:.2f} of Caddy's")
    assert ratio >= least

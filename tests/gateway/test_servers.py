"""A gateway's choice of a server: which connections it is for, what it costs those who chose another, how it fails."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import Client, get
from tests.gateway.h2client import H2Client
from tests.gateway.plugins import Probe, catalogue
from tests.gateway.world import BOTH, World, route, until
from tests.gateway.ws import Socket
from vidops.api import Options, PermanentError, Receive, Scope, Send, ServerType
from vidops.gateway.connections import Connections
from vidops.gateway.servers.on_httptools import HttptoolsServer
from vidops.resources.catalogue import ServerContext

ROUTES = [route("/hi", "respond", body="hi"), route("/ws", "echo"), route("/cameras", "control")]
FAST = {"server": {"type": "httptools"}}
UNKNOWN = b"FROBNICATE /hi HTTP/1.1\r\nHost: x\r\n\r\n"
"""A request that tells the servers apart: llhttp knows no such method, h11 any."""
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


async def asked(client: Client) -> int:
    client.send(UNKNOWN)
    return (await client.answer()).status


async def says_hi(client: Client) -> None:
    """Over a WebSocket, and hears it."""
    client.send(b"\x81\x82\0\0\0\0hi")
    async with asyncio.timeout(5):
        frames = await client.reader.readexactly(4)
        while b"hi" not in frames:
            frames += await client.reader.read(64)
    assert frames.endswith(b"\x81\x02hi")


async def test_an_edit_is_for_new_connections(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as old, await Client.connect(world.port) as other:
        assert (await old.get("/hi")).body == b"hi"
        assert (await other.get("/hi")).body == b"hi"
        await world.edit(ROUTES, **FAST)
        async with await Client.connect(world.port) as new:
            assert (await new.get("/hi")).body == b"hi"
            assert await asked(new) == 501
        assert await asked(old) == 200
        await world.edit(ROUTES)
        async with await Client.connect(world.port) as new:
            assert await asked(new) == 200
        assert (await other.get("/hi")).body == b"hi"
        await asyncio.wait_for(world.gateway.close(), 5)
        assert await other.closed(2.0) == b"", "each server lets its own go"


async def test_a_server_that_cannot_be_had_leaves_everything_as_it_was(world: World, probe: Probe) -> None:
    def build(options: Any, context: Any) -> Any:
        raise PermanentError("needs the package swift: pip install 'acme[swift]'")

    known = catalogue(probe)
    it = World(replace(known, servers={**known.servers, "swift": ServerType("swift", Options, build)}))
    try:
        await it.start(ROUTES)
        for kind, said in (
            ("swift", "server 'swift': needs the package swift: pip install"),
            ("slow", "no plugin has a"),
        ):
            with pytest.raises(PermanentError, match=said):
                await it.edit(ROUTES, server={"type": kind})
            assert (await get(it.port, "/hi")).body == b"hi"
    finally:
        await it.close()


async def test_a_handshake_behind_requests_is_hypercorns(world: World) -> None:
    await world.start(ROUTES, **FAST)
    async with await Client.connect(world.port) as client:
        assert (await client.get("/hi")).body == b"hi"
        client.send(b"GET /hi HTTP/1.1\r\nHost: x\r\n\r\n" + HANDSHAKE)
        assert (await client.answer()).body == b"hi"
        assert (await client.head()).status == 101
        await says_hi(client)
        status = world.gateway.status()
        assert (status["connections"], status["streams"]) == (1, 1)
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


@pytest.mark.parametrize("cut", [0, 50, len(HANDSHAKE)])
async def test_a_handshake_behind_an_answer_that_is_under_way_waits_for_it(world: World, cut: int) -> None:
    """Whatever of it comes before the answer's end: nothing goes in between, and nothing is lost."""
    size = 256 * 65536
    await world.start([*ROUTES, route("/flood", "flood", size=size)], **FAST)
    async with await Client.connect(world.port, limit=65536) as client:
        client.send(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n" + HANDSHAKE[:cut])
        head = await client.head()
        assert head.headers["transfer-encoding"] == "chunked"
        body = bytearray()
        async for chunk in client.chunks():
            if not body:
                client.send(HANDSHAKE[cut:])
                assert world.gateway.status()["streams"] == 0
            body += chunk
        assert body == bytes(size)
        assert (await client.head()).status == 101
        await says_hi(client)
        status = world.gateway.status()
        assert (status["connections"], status["streams"], status["requests"]) == (1, 1, 2)
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


async def test_a_handshake_in_two_parts(world: World) -> None:
    await world.start(ROUTES, **FAST)
    async with await Client.connect(world.port) as client:
        client.send(HANDSHAKE[:50])
        await client.writer.drain()
        await asyncio.sleep(0.05)
        client.send(HANDSHAKE[50:])
        assert (await client.head()).status == 101


async def test_a_socket_of_a_handler(world: World) -> None:
    await world.start(ROUTES, **FAST)
    async with Socket(world.port, "/cameras") as ws:
        assert ws.status == 101


async def test_http2_and_http1_at_one_address(world: World, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    await world.start(ROUTES, tls={"certfile": str(cert), "keyfile": {"file": str(key)}}, **FAST)
    client = await H2Client.connect(world.port, cert)
    assert await client.answer(client.request("/hi")) == (200, b"hi")
    assert world.gateway.status()["connections"] == 1
    await client.close()

    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    async with await Client.connect(world.port, context) as plain:
        assert await asked(plain) == 501
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


@pytest.mark.parametrize("kind", BOTH)
def test_nobody_pays_for_the_other_one(kind: str) -> None:
    code = (
        "import sys, vidops.gateway.__main__\n"
        "from vidops.gateway.generation import build_server\n"
        "from vidops.resources.catalogue import ServerContext\n"
        "from vidops.resources.specs import Entry\n"
        "from vidops.runtime.plugins import load_catalogue\n"
        "import asyncio\n"
        "async def main():\n"
        "    context = ServerContext(None, 1.0, None, print)\n"
        f"    build_server(load_catalogue(), Entry(type={kind!r}), context)\n"
        "asyncio.run(main())\n"
        "print('vidops.gateway.servers.on_httptools' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str(kind == "httptools")


async def test_a_head_goes_with_its_body_but_does_not_wait_for_one() -> None:
    """Each call of the kernel costs more than the answer does."""
    gate = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        if scope["path"] == "/late":
            await gate.wait()
        await send({"type": "http.response.body", "body": b"hi"})

    context = ServerContext(app, 5.0, Connections(), print, lambda _: None)
    server = await asyncio.get_running_loop().create_server(HttptoolsServer(context).connect, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    head = b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n"
    for path, parts in (("/", [head + b"hi"]), ("/late", [head, b"hi"])):
        gate.clear()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for part in parts:
            assert await asyncio.wait_for(reader.read(1000), 5) == part
            gate.set()
    writer.close()
    server.close()

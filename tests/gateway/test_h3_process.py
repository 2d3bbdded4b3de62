"""HTTP/3 in the process that a gateway is: what it costs, and that it costs nothing where it is off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.h2client import H2Client
from tests.gateway.h3client import H3Client
from tests.gateway.process import Process
from tests.gateway.test_h3 import tls
from tests.gateway.test_h3_bounds import hold_credit
from tests.gateway.world import route, until

pytestmark = pytest.mark.integration
Pair = tuple[Path, Path]
FILE = 24 << 20
READERS = 20


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    it = Process()
    yield it
    await it.close()


def loaded(process: Process) -> bool:
    """Whether aioquic is in its memory."""
    return "aioquic" in Path(f"/proc/{process.process.pid}/maps").read_text()


async def rss(process: Process) -> int:
    return int((await process.ask("status"))["rss"])


async def test_nothing_of_it_is_loaded_where_it_is_off(process: Process, certificate: Pair) -> None:
    routes = [route("/hi", "respond", body="hi")]
    await process.start(routes, tls=tls(certificate, http3=False))
    h2 = await H2Client.connect(process.port, certificate[0])
    stream = h2.request("/hi")
    await h2.answer(stream)
    assert "alt-svc" not in h2.heads[stream]
    await h2.close()
    assert not loaded(process)
    await process.edit(routes, tls=tls(certificate))
    assert loaded(process)
    client = await H3Client.to(process.port, certificate[0])
    assert await client.get("/hi") == (200, b"hi")
    await client.end()


async def test_where_it_is_not_installed(certificate: Pair, tmp_path: Path) -> None:
    (tmp_path / "aioquic").mkdir()
    (tmp_path / "aioquic/__init__.py").write_text("raise ImportError('not here')\n")
    routes = [route("/hi", "respond", body="hi")]
    without = Process(env={"PYTHONPATH": str(tmp_path)})
    try:
        await without.start(routes, tls=tls(certificate, http3=False))
        refused = await without.edit(routes, tls=tls(certificate))
        assert refused["reason"] == "NoHTTP3"
        assert refused["error"] == "tls.http3 needs aioquic (not here): pip install 'vidops[http3]'"
    finally:
        await without.close()


async def test_readers_that_stop_cost_little(process: Process, certificate: Pair, tmp_path: Path) -> None:
    """Each has asked for a file and takes no more of it than its window."""
    (tmp_path / "large.bin").write_bytes(bytes(FILE))
    await process.start([route("/**", "static", root=str(tmp_path))], tls=tls(certificate))
    first = await H3Client.to(process.port, certificate[0])
    status, body = await first.answer(first.request("/large.bin"), 60)
    assert (status, len(body)) == (200, FILE)
    before = await rss(process)
    clients = [await H3Client.to(process.port, certificate[0]) for _ in range(READERS)]
    for client in clients:
        hold_credit(client)
        client.request("/large.bin")
    await until(lambda: all(len(client.bodies[0]) > 1_000_000 for client in clients), "their windows' end", 60)
    cost = (await rss(process) - before) / READERS
    print(f"{cost / 1000:.0f} kB a reader")
    assert cost < 1_500_000, cost
    assert (await first.get("/none"))[0] == 404
    for client in (first, *clients):
        await client.end()


async def test_its_end(process: Process, certificate: Pair) -> None:
    await process.start([route("/hi", "respond", body="hi")], tls=tls(certificate))
    client = await H3Client.to(process.port, certificate[0])
    assert await client.get("/hi") == (200, b"hi")
    process.process.terminate()
    assert await asyncio.wait_for(process.process.wait(), 10) == 0
    await until(lambda: client.over, "the connection's end")
    assert client.went_away
    assert "connection_failed" not in process.log()
    await client.end()

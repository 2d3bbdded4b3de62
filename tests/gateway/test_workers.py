"""Several processes of one gateway on the same sockets."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.client import Client, get
from tests.gateway.process import Process
from tests.gateway.world import BOTH, route
from vidops.gateway import handover

pytestmark = pytest.mark.integration
over_both = pytest.mark.parametrize("server", BOTH)
COUNTED = [
    route("/hi", "respond", chain=["metrics"], body="hi"),
    route("/metrics", "metrics"),
]


@pytest.fixture
def server() -> str:
    return "hypercorn"


@pytest.fixture
async def crew(server: str) -> AsyncIterator[list[Process]]:
    first = Process(server=server)
    processes = [first, first.beside(2), first.beside(3)]
    yield processes
    for process in reversed(processes):
        await process.close()


async def serve(crew: list[Process], routes: list[Any] | None = None, **spec: Any) -> None:
    for process in crew:
        await process.start(routes or COUNTED, workers=len(crew), **spec)


async def answered(crew: list[Process], port: int, connections: int = 60) -> Counter[int]:
    """How many of so many connections each process has."""
    clients = [await Client.connect(port) for _ in range(connections)]
    for client in clients:
        assert (await client.get("/hi")).body == b"hi"
    counts = Counter({n: int((await process.ask("status"))["connections"]) for n, process in enumerate(crew)})
    for client in clients:
        client.close()
    return counts


@over_both
async def test_all_serve_at_one_port(crew: list[Process]) -> None:
    await serve(crew)
    assert {process.port for process in crew} == {crew[0].port}
    counts = await answered(crew, crew[0].port)
    assert counts.total() == 60
    assert min(counts.values()) >= 5, counts


async def test_what_each_counts_is_told_by_any(crew: list[Process]) -> None:
    await serve(crew)
    port = crew[0].port
    counts = await answered(crew, port)
    assert len(+counts) > 1
    text = (await get(port, "/metrics")).body.decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    answers = [s for s in families["vidops_http_requests"].samples if s.name.endswith("_total")]
    assert sum(s.value for s in answers) == 60
    assert {s.labels["worker"] for s in answers} == {str(n + 1) for n in counts if counts[n]}
    assert {s.labels["route"] for s in answers} == {"/hi"}
    memory = families["process_resident_memory_bytes"].samples
    assert sorted(s.labels["worker"] for s in memory) == ["1", "2", "3"]


async def test_one_that_is_killed_is_made_up_for_by_the_others(crew: list[Process]) -> None:
    """The sockets are theirs, too: no connection is refused, and it comes back to the same port."""
    await serve(crew)
    port = crew[0].port
    crew[0].process.kill()
    await crew[0].wait()
    for _ in range(20):
        assert (await get(port, "/hi")).body == b"hi"
    crew[0].status = {}
    await crew[0].start(COUNTED, workers=3)
    assert crew[0].port == port
    assert min((await answered(crew, port)).values()) >= 5


async def test_another_worker_takes_over_the_very_sockets_of_the_one_before_it(crew: list[Process]) -> None:
    """With others at the same port, the kernel resets what has begun to connect to one that is closed."""
    await serve(crew)
    second = crew[1]
    before = sockets(second)
    await second.succeed()
    assert sockets(second) == before


def sockets(process: Process) -> set[str]:
    """Inodes of those that it listens on."""
    shares = handover.ask(process.layout.gateway_socket(process.name))
    found = {os.readlink(f"/proc/self/fd/{one.fileno()}") for share in shares.values() for one in share.sockets}
    handover.close(shares)
    return found


async def test_an_address_that_is_added_is_opened_once_and_shared(crew: list[Process]) -> None:
    await serve(crew)
    binds = ["127.0.0.1:0", "localhost:0", f"unix:{crew[0].root}/web.sock"]
    for process in crew:
        assert (await process.edit(COUNTED, workers=3, bind=binds))["ok"]
        process.status = await process.ask("status")
    assert crew[0].status["binds"] == crew[1].status["binds"] == crew[2].status["binds"]
    client = Client(*await asyncio.open_unix_connection(f"{crew[0].root}/web.sock"))
    assert (await client.get("/hi")).body == b"hi"
    client.close()
    port = int(str(crew[0].status["binds"][1]).rpartition(":")[2])
    assert (await answered(crew, port)).total() == 60


async def test_the_last_that_leaves_takes_the_unix_socket_away(crew: list[Process]) -> None:
    path = f"{crew[0].root}/web.sock"
    await serve(crew, bind=[f"unix:{path}"])
    for process in crew[:2]:
        await process.stop()
        client = Client(*await asyncio.open_unix_connection(path))
        assert (await client.get("/hi")).body == b"hi"
        client.close()
    await crew[2].stop()
    with pytest.raises(OSError, match=r"No such file|Connection refused"):
        await asyncio.open_unix_connection(path)


async def test_a_worker_that_hangs_is_left_out_of_what_is_counted(crew: list[Process]) -> None:
    await serve(crew)
    port = crew[0].port
    crew[1].process.send_signal(signal.SIGSTOP)
    try:
        client = await Client.connect(port)
        answer = None
        while answer is None:
            try:
                async with asyncio.timeout(5):
                    answer = await client.get("/metrics")
            except TimeoutError:
                # It was the one that hangs who had accepted this.
                client.close()
                client = await Client.connect(port)
        assert answer.status == 200
        assert b"vidops_http_requests" in answer.body
        client.close()
    finally:
        crew[1].process.send_signal(signal.SIGCONT)

"""Requests that go wrong: in the handler, in the body, at the other end."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.client import Client, get
from tests.gateway.plugins import Probe
from tests.gateway.world import BOTH, World, route, until

SERVERS = BOTH

UPLOAD = route("/up", "upload")


async def test_an_error_is_a_problem_with_an_id_that_the_log_has_too(world: World) -> None:
    await world.start([route("/", "raising", text="xyzzy")])
    answer = await get(world.port, "/")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"xyzzy" not in answer.body
    line = next(r for r in world.log if r["event"] == "request_failed")
    assert line["error_id"] == answer.json()["error_id"]
    assert "xyzzy" in line["traceback"]


async def test_an_error_after_the_head_cuts_the_answer_off(world: World) -> None:
    await world.start([route("/", "raising", text="late")])
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.head()).status == 200
        assert not (await client.closed()).endswith(b"0\r\n\r\n"), "the client takes it for complete"


async def test_what_is_away_for_a_while_is_503(world: World) -> None:
    await world.start([route("/", "raising", text="temporary")])
    answer = await get(world.port, "/")
    assert (answer.status, answer.json()["reason"], answer.json()["detail"]) == (
        503,
        "UpstreamDown",
        "the upstream is away",
    )


async def test_a_handler_that_waits_ends_soon_after_its_client(world: World, probe: Probe) -> None:
    await world.start([route("/", "slow", seconds=60)])
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: probe.running == 1, "it runs")
    await until(lambda: probe.cancelled == 1, "it is cancelled", 3.0)
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_arrives_whole(world: World, chunked: bool) -> None:
    await world.start([UPLOAD])
    body = b"x" * 1_000_000
    async with await Client.connect(world.port) as client:
        if chunked:
            client.send(b"POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(body), 100_000):
                client.send(b"%x\r\n%b\r\n" % (100_000, body[start : start + 100_000]))
            client.send(b"0\r\n\r\n")
            answer = await client.answer()
        else:
            answer = await client.get("/up", method="POST", body=body)
    assert (answer.status, answer.body) == (200, b"1000000")


async def test_a_body_that_is_announced_too_large_is_not_read(world: World) -> None:
    await world.start([UPLOAD])
    async with await Client.connect(world.port) as client:
        client.send(b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nabc")
        answer = await client.answer()
        assert answer.status == 413
        assert answer.headers["connection"] == "close"


async def test_a_body_that_grows_too_large_is_cut_off(world: World) -> None:
    await world.start([route("/up", "upload", chain=[{"type": "limits", "options": {"max_body": "1KiB"}}])])
    async with await Client.connect(world.port) as client:
        client.send(
            b"POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"190\r\n%b\r\n" % (b"x" * 400) * 5
        )
        assert (await client.answer()).status == 413


async def test_an_early_answer_is_the_last_one(world: World) -> None:
    """Whether the body will have come in time cannot be known when its head goes out."""
    await world.start([route("/hi", "respond", body="no")])
    async with await Client.connect(world.port) as client:
        client.send(b"POST /hi HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n")
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"no", "close"), "it comes before the body does"
        client.send(b"x" * 150_000)
        assert await client.closed() == b""


async def test_an_early_answer_reaches_a_client_that_goes_on_sending(world: World) -> None:
    await world.start([route("/hi", "respond", body="no")])
    async with await Client.connect(world.port) as client:
        client.send(b"POST /hi HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200_000)
        assert (await client.answer()).body == b"no"
        await client.closed()
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


async def test_a_slow_reader_of_bodies_is_not_the_clients_fault(world: World, probe: Probe) -> None:
    await world.start([route("/", "slow", seconds=0.5)])
    assert (await get(world.port, "/", method="POST", body=b"x" * 300_000)).body == b"late"


async def test_many_at_once(world: World) -> None:
    await world.start([route("/", "slow", seconds=0.05)])
    answers = await asyncio.gather(*(get(world.port, "/") for _ in range(100)))
    assert {a.status for a in answers} == {200}


# Of a body so large that its end has not even arrived, nobody can tell whether its client is still there.
@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_leaving_is_noticed_whatever_was_sent_and_not_read(
    world: World, probe: Probe, body: bytes, behind: bytes
) -> None:
    await world.start([route("/", "slow", seconds=60)])
    async with await Client.connect(world.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body + behind)
        await until(lambda: probe.running == 1, "it runs")
        client.writer.transport.abort()
    await until(lambda: probe.cancelled == 1, "it is cancelled", 3.0)
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")
    assert not [r for r in world.log if r["event"] == "connection_failed"], world.log

"""What comes over the wire before any chain: parsed strictly, or refused with a reason and a closed connection."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import BOTH, World, route, until

SERVERS = BOTH

ROUTES = [route("/hi", "respond", body="hi"), route("/post", "respond", body="posted", methods=["POST"])]
HEAD = b"GET /hi HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /hi HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
ANSWERS = re.compile(rb"HTTP/1\.1 \d{3} ")


@pytest.mark.parametrize(
    ("name", "sent", "status"),
    [
        ("both lengths", POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
        ("two lengths", b"POST /hi HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
        ("bad length", b"POST /hi HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd", 400),
        ("encoding in 1.0", b"POST /hi HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("unknown encoding", b"POST /hi HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("no host", b"GET /hi HTTP/1.1\r\n\r\n", 400),
        ("two hosts", b"GET /hi HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("bad host", b"GET /hi HTTP/1.1\r\nHost: x/../y\r\n\r\n", 400),
        ("other target", b"GET http://y/hi HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("upgrade to h2c", HEAD + H2C, 400),
        ("cleartext http/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("bare LF", b"GET /hi HTTP/1.1\nHost: x\n\n", 400),
        ("one bare LF", b"GET /hi HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
        ("space before the colon", b"GET /hi HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("folded line", HEAD + b"X: a\r\n b\r\n\r\n", 400),
        ("encoded slash", b"GET /%2fhi HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("encoded NUL", b"GET /hi%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("dot segment", b"GET /a/../hi HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("no request", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        ("connect", b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 400),
        ("long target", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        ("huge head", HEAD + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        ("chunk that is none", b"POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200),
    ],
)  # fmt: skip
async def test_requests_that_two_servers_could_read_differently(
    world: World, name: str, sent: bytes, status: int
) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        client.send(sent)
        if name == "chunk that is none":
            # Its head is fine, so what matters is that nothing after the bad chunk is taken for a request.
            client.send(b"GET /hi HTTP/1.1\r\nHost: x\r\n\r\n")
            assert len(ANSWERS.findall(await client.closed())) == 1
            return
        answer = await client.answer()
        assert answer.status == status, answer
        if status != 200:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["connection"] == "close"
            assert answer.json()["status"] == status
            assert await client.closed() == b""
    assert (await get(world.port, "/hi")).body == b"hi", "the gateway still serves"


async def test_no_second_answer_is_smuggled_in(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        inner = b"GET /hi HTTP/1.1\r\nHost: x\r\n\r\n"
        head = b"POST /hi HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        client.send(head % (len(inner) + 5) + inner)
        assert len(ANSWERS.findall(await client.closed())) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.binary(max_size=40) | st.sampled_from([HEAD, b"\r\n", b"\r\n\r\n", b"Host: x\r\n"]), max_size=6)
)
def test_any_bytes_at_all_leave_it_serving(server: str, data: list[bytes]) -> None:
    async def run() -> None:
        world = World(server=server)
        try:
            await world.start(ROUTES)
            async with await Client.connect(world.port) as client:
                client.send(b"".join(data))
                client.writer.write_eof()
                await client.closed()
            assert (await get(world.port, "/hi")).status == 200
            assert not [r for r in world.log if r.get("level") == "error"], world.log
        finally:
            await world.close()

    asyncio.run(run())


async def test_requests_come_one_after_another_on_one_connection(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        client.send((HEAD + b"\r\n") * 20)
        for _ in range(20):
            assert (await client.answer()).body == b"hi"
    assert world.gateway.status()["requests"] == 20


async def test_answers_say_nothing_of_what_serves_them(world: World) -> None:
    await world.start(ROUTES)
    answer = await get(world.port, "/nothing")
    assert answer.status == 404
    assert "server" not in answer.headers
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no route leads here",
    }


async def test_a_path_with_other_methods_says_which(world: World) -> None:
    await world.start(ROUTES)
    answer = await get(world.port, "/post")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_head_is_get_without_the_body(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        head = await client.get("/hi", method="HEAD")
        assert (head.status, head.headers["content-length"]) == (200, "2")
        assert (await client.get("/hi")).body == b"hi", "the connection is still in step"


async def test_a_head_that_comes_too_slowly_is_cut_off(world: World) -> None:
    world.gateway.head_timeout = 0.3
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        client.send(b"GET /hi HTTP/1.1\r\n")
        answer = await client.answer()
        assert answer.status == 408
        await client.closed()
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection left")


async def test_a_head_that_comes_in_drops_is_one(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        for byte in b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi":
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"posted"


async def test_a_head_without_an_end_is_too_large(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        for _ in range(33):
            client.send(b"a" * 1024)
            await asyncio.sleep(0)
        assert (await client.answer()).status == 431

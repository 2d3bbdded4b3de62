"""What is refused, and how, is the same whichever server is asked."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.gateway.client import Client
from tests.gateway.world import BOTH, World, route
from vidops.gateway import lines

SERVERS = BOTH
POST = b"POST /e HTTP/1.1\r\nHost: h\r\n"
GET = b"GET /e HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

HEADS = {
    "a length and chunks": (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a space before a colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "a tab": (POST + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", 200),
    "capitals": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", 200),
    "a quoted coding": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "two codings": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    "a comma before": (POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 501),
    "a comma behind": (POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 501),
    "another coding": (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "another coding and a length": (POST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a plus": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "an underscore": (POST + b"Content-Length: 1_0\r\n\r\nabc", 400),
    "a length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a list of a length": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "no length": (POST + b"Content-Length:\r\n\r\nabc", 400),
    "no 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\nabc", 400),
    "zeros": (POST + b"Content-Length: 0003\r\n\r\nabc", 200),
    "a carriage return": (GET + b"A: b\rC: d\r\n\r\n", 400),
    "a NUL": (GET + b"A: b\x00c\r\n\r\n", 400),
    "a control character": (GET + b"A: b\x01c\r\n\r\n", 400),
    "DEL": (GET + b"A: b\x7fc\r\n\r\n", 400),
    "eight bits": (GET + b"A: b\xffc\r\n\r\n", 200),
    "no name": (GET + b": x\r\n\r\n", 400),
    "a space at first": (b"GET /e HTTP/1.1\r\n A: b\r\nHost: h\r\n\r\n", 400),
    "empty lines": (b"\r\n\r\n" + GET + b"\r\n", 200),
    "too many empty lines": (b"\r\n" * (lines.MAX_BLANK + 1) + GET + b"\r\n", 400),
    "a bare line feed before": (b"\n" + GET + b"\r\n", 400),
    "HTTP/2.0": (b"GET /e HTTP/2.0\r\nHost: h\r\n\r\n", 505),
    "HTTP/1.2": (b"GET /e HTTP/1.2\r\nHost: h\r\n\r\n", 505),
    "a method in small letters": (b"get /e HTTP/1.1\r\nHost: h\r\n\r\n", 501),
    "CONNECT": (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "no host": (b"GET /e HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /e HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "too many fields": (GET + b"".join(b"a%d: b\r\n" % n for n in range(150)) + b"\r\n", 431),
    "a head that is too large": (GET + b"a: " + b"b" * 40000 + b"\r\n\r\n", 431),
}
BODIES = {
    "0x": (b"0x3\r\nabc\r\n0\r\n\r\n", 400),
    "a space": (b"3 \r\nabc\r\n0\r\n\r\n", 400),
    "a bare line feed": (b"3\nabc\r\n0\r\n\r\n", 400),
    "an extension": (b'3;a=b;c="d"\r\nabc\r\n0\r\n\r\n', 200),
    "an extension with a carriage return": (b"3;a\rb\r\nabc\r\n0\r\n\r\n", 400),
    "an extension with a line feed": (b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
    "an extension with a NUL": (b"3;\x00\x01\r\nabc\r\n0\r\n\r\n", 400),
    "less than nothing": (b"-3\r\nabc\r\n0\r\n\r\n", 400),
    "more than it says": (b"3\r\nabcXX0\r\n\r\n", 400),
    "more than 64 bits": (b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400),
    "a trailer that is none": (b"0\r\nbad trailer\r\n\r\n", 400),
    "a trailer with a line feed": (b"0\r\nA: b\nC: d\r\n\r\n", 400),
    "a folded trailer": (b"0\r\nA: b\r\n c\r\n\r\n", 400),
    "a trailer with a control character": (b"0\r\nA: \x01\r\n\r\n", 400),
    "a trailer": (b"0\r\nA: b\r\n\r\n", 200),
    "too many trailers": (b"0\r\n" + b"A: b\r\n" * 5000 + b"\r\n", 431),
}


async def statuses(world: World, data: bytes, *, whole: bool = True) -> list[int]:
    """Of the answers to it, and to a request behind it."""
    async with await Client.connect(world.port) as client:
        for part in [data] if whole else [data[n : n + 1] for n in range(len(data))]:
            client.send(part)
            if not whole:
                await asyncio.sleep(0.001)
        client.send(b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", await client.closed())]


@pytest.fixture
async def reading(world: World) -> World:
    await world.start([route("/last", "respond"), route("/e", "upload")])
    return world


@pytest.mark.parametrize(
    ("data", "status"),
    [*HEADS.values(), *((CHUNKED + body, status) for body, status in BODIES.values())],
    ids=[*HEADS, *BODIES],
)
async def test_both_refuse_the_same_alike(reading: World, data: bytes, status: int) -> None:
    assert await statuses(reading, data) == ([200, 200] if status == 200 else [status])


async def test_older_clients_need_not_name_a_host(reading: World) -> None:
    """HAProxy's `option httpchk` asks so."""
    async with await Client.connect(reading.port) as client:
        client.send(b"OPTIONS /last HTTP/1.0\r\n\r\n")
        assert (await client.answer()).status == 200
        assert await client.closed() == b""


@pytest.mark.parametrize("data", [b"\r\n\r\n" + GET + b"\r\n\r\n" + GET + b"\r\n", CHUNKED + BODIES["an extension"][0]])
async def test_however_it_is_cut(reading: World, data: bytes) -> None:
    assert set(await statuses(reading, data, whole=False)) == {200}

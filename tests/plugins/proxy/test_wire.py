"""Responses as bytes: which are whole, which are none, where one ends. No socket: what is fed is what was received."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from vidops_plugins.handlers.proxy.wire import HEAD_LIMIT, HIGH, Broken, Connection, Stale


def feed(made: Connection, data: bytes) -> None:
    """As an event loop does."""
    while data:
        buffer = made.get_buffer(-1)
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        made.buffer_updated(count)
        data = data[count:]


class Wire(asyncio.Transport):
    """Remembers whether it reads, and whether it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = self.open = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.open = False

    def is_closing(self) -> bool:
        return not self.open


def connection(*, bodiless: bool = False) -> tuple[Connection, Wire]:
    made, wire = Connection(), Wire()
    made.connection_made(wire)
    made.begin(bodiless=bodiless)
    return made, wire


async def whole(made: Connection) -> tuple[int, bytes]:
    head = await made.response()
    body = b""
    while chunk := await made.read():
        body += chunk
    return head.status, body


GOOD = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", True),
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, b"", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nTrailer: 1\r\n\r\n", 200, b"hi", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
]  # fmt: skip


@pytest.mark.parametrize(("data", "status", "body", "kept"), GOOD)
@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_a_whole_response(data: bytes, status: int, body: bytes, kept: bool, step: int) -> None:
    made, _ = connection()
    for at in range(0, len(data), step):
        feed(made, data[at : at + step])
    assert await whole(made) == (status, body)
    made.over()
    assert made.reusable == kept


BAD = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhi",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n",
    b"\0" * 100,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"x" * (HEAD_LIMIT + 1),
]


@pytest.mark.parametrize("data", BAD)
async def test_what_two_could_read_differently_is_none(data: bytes) -> None:
    made, wire = connection()
    feed(made, data)
    made.connection_lost(None)
    with pytest.raises(Broken):
        await whole(made)
    made.over()
    assert not made.reusable
    assert not wire.open


async def test_a_response_to_head_has_no_body() -> None:
    made, _ = connection(bodiless=True)
    feed(made, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    assert await whole(made) == (200, b"")
    made.over()
    assert made.reusable


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"junk"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_was_not_asked_for_is_nobodys_answer(surplus: bytes, at_once: bool) -> None:
    made, _ = connection()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    feed(made, answer + surplus if at_once else answer)
    assert await whole(made) == (200, b"hi")
    made.over()
    if not at_once:
        feed(made, surplus)
    assert not made.reusable


async def test_an_end_is_the_end_only_where_nothing_else_says_it() -> None:
    made, _ = connection()
    feed(made, b"HTTP/1.1 200 OK\r\n\r\nall there is")
    made.eof_received()
    made.connection_lost(None)
    assert await whole(made) == (200, b"all there is")
    for cut in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ):
        made, _ = connection()
        feed(made, cut)
        made.eof_received()
        made.connection_lost(None)
        with pytest.raises(Broken, match="middle"):
            await whole(made)


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(("end", "over_tls"), [("fin", 0), ("rst", 0), ("notify", 1), ("fin", 1), ("rst", 1)])
def test_how_a_body_without_length_ends(certificate: tuple[Path, Path], loop: Any, end: str, over_tls: int) -> None:
    """A real connection of each event loop: they tell of ends each in its own way."""

    def serve(listening: socket.socket) -> None:
        made = listening.accept()[0]
        if over_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            made = context.wrap_socket(made, server_side=True)
        made.recv(100)
        made.sendall(b"HTTP/1.1 200 OK\r\n\r\nall there is")
        time.sleep(0.1)
        if end == "notify":
            assert isinstance(made, ssl.SSLSocket)
            made = made.unwrap()
        elif end == "rst":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.close()

    async def read() -> tuple[int, bytes]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            served = asyncio.ensure_future(asyncio.to_thread(serve, listening))
            trust = ssl.create_default_context(cafile=str(certificate[0])) if over_tls else None
            port = listening.getsockname()[1]
            _, made = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port, ssl=trust)
            made.begin(bodiless=False)
            made.write(b"GET / HTTP/1.1\r\n\r\n")
            try:
                return await asyncio.wait_for(whole(made), 10)
            finally:
                await served

    if (end, over_tls) in (("fin", 0), ("notify", 1)):
        assert loop(read()) == (200, b"all there is")
    else:
        with pytest.raises(Broken, match="middle"):
            loop(read())


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
def test_what_came_before_a_write_failed_is_an_answer(loop: Any) -> None:
    """A service refuses a body and closes while more of it is on its way: the next write fails, which the event loop
    may find out before it reads. Here it always does."""

    async def read() -> tuple[int, bytes]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            _, made = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
            service = listening.accept()[0]
            made.begin(bodiless=False)
            made.write(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
            assert made._transport is not None
            made._transport.pause_reading()
            await asyncio.sleep(0.05)
            service.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 20000\r\n\r\n" + bytes(20_000))
            service.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            service.close()
            made.write(bytes(1000))
            return await asyncio.wait_for(whole(made), 10)

    assert loop(read()) == (413, bytes(20_000))


async def test_no_byte_at_all_is_a_stale_connection() -> None:
    made, _ = connection()
    made.connection_lost(None)
    with pytest.raises(Stale):
        await made.response()


async def test_what_nobody_reads_is_not_read_from_the_socket() -> None:
    made, wire = connection()
    feed(made, b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    await made.response()
    fed = 0
    while wire.reading:
        feed(made, bytes(65536))
        fed += 65536
    assert HIGH <= fed <= HIGH + 65536
    while not wire.reading:
        assert await made.read()


@given(st.lists(st.binary(max_size=40), max_size=6), st.sampled_from([data for data, *_ in GOOD] + BAD[:16]))
async def test_nothing_else_is_raised(junk: list[bytes], data: bytes) -> None:
    made, _ = connection()
    for part in (data[: len(data) // 2], *junk, data[len(data) // 2 :]):
        feed(made, part)
    made.connection_lost(None)
    with contextlib.suppress(Broken, Stale):
        await whole(made)


async def test_what_does_not_come_in_time() -> None:
    made, _ = connection()
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        await made.response(within=0.05)
    loop.call_later(0.05, feed, made, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    assert (await made.response(within=30)).status == 200
    loop.call_later(0.05, feed, made, b"hi")
    assert await made.read() == b"hi", "however long it takes"
    began = loop.time()
    with pytest.raises(TimeoutError):
        await made.read(within=0.1)  # less than what the timer waits for that is already there
    assert 0.05 < loop.time() - began < 5
    loop.call_later(0.1, feed, made, b"ho")
    assert await made.read(within=30) == b"ho"
    assert await made.read(within=0.1) == b""

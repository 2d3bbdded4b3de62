"""What an HTTP/3 client can do to a gateway by being slow, gone or malicious: little, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aioquic.quic.connection import QuicConnection

from tests.gateway.h3client import H3Client
from tests.gateway.plugins import Probe
from tests.gateway.test_h3 import ROUTES, tls
from tests.gateway.world import World, until
from vidops.gateway.bounded import CONNECTION_WINDOW, STREAM_WINDOW, UNSENT_LIMIT
from vidops.gateway.h3 import QuicCall
from vidops.gateway.quic import OPENING_LIMIT

Pair = tuple[Path, Path]
PART = 65536


@pytest.fixture
async def client(world: World, certificate: Pair) -> AsyncIterator[H3Client]:
    await world.start(ROUTES, tls=tls(certificate))
    it = await H3Client.to(world.port, certificate[0])
    yield it
    await it.end()


class Lossy:
    """A transport that loses what `loss` says."""

    def __init__(self, transport: Any, loss: Callable[[], bool]) -> None:
        self._transport, self._loss = transport, loss

    def sendto(self, data: bytes, address: Any) -> None:
        if not self._loss():
            self._transport.sendto(data, address)


async def settled(value: Any) -> int:
    """What a count is when it has stood still for half a second."""
    before = -1
    while before != value():
        before = value()
        await asyncio.sleep(0.5)
    return int(before)


def hold_credit(client: H3Client) -> None:
    """Have the server send no more than it may now."""
    quic: Any = client.quic
    quic._write_stream_limits = lambda **given: None
    quic._write_connection_limits = lambda **given: None


async def test_a_large_answer_waits_for_its_reader(world: World, client: H3Client, probe: Probe) -> None:
    hold_credit(client)
    stream = client.request("/flood")
    await until(lambda: probe.sent, "the beginning")
    sent = await settled(lambda: probe.sent)
    window = 1024 * 1024  # aioquic's, of the client
    assert sent <= window + UNSENT_LIMIT + PART
    client.quic.stop_stream(stream, 0x10C)
    client.transmit()
    await until(lambda: not probe.running, "the handler's end")


async def test_a_large_answer_arrives_whole(client: H3Client) -> None:
    status, body = await client.answer(client.request("/flood"), 120)
    assert (status, len(body)) == (200, 24 << 20)


async def test_a_network_that_loses_one_datagram_in_twenty(client: H3Client) -> None:
    """Both ways, limits and what raises them included."""
    dice = random.Random(5)
    client.loss = lambda: dice.random() < 0.05
    transport: Any = client._transport
    client._transport = Lossy(transport, client.loss)
    assert await client.answer(client.request("/upload", method="POST", body=bytes(2_000_000)), 60) == (200, b"2000000")
    status, body = await client.answer(client.request("/little"), 60)
    assert (status, len(body)) == (200, 2 << 20)
    client._transport = transport


async def test_a_client_that_stops_reading_for_good(client: H3Client, probe: Probe) -> None:
    """Nothing is acknowledged any more: what is in flight stays little."""
    client.request("/flood")
    await until(lambda: probe.sent > 10 * PART, "the beginning")
    client.deaf = True
    sent = await settled(lambda: probe.sent)
    assert sent - len(client.bodies[0]) < 8 * 1024 * 1024


async def test_an_upload_that_nobody_reads(client: H3Client, probe: Probe) -> None:
    """A window of it is taken, and no more; other requests of the connection go on."""
    stream = client.request("/slow", method="POST", body=bytes(8_000_000), more=True)
    await until(lambda: probe.running, "the handler")
    out = client.quic._streams[stream].sender
    taken = await settled(lambda: out.highest_offset)
    assert taken <= STREAM_WINDOW
    for _ in range(20):
        assert await client.get("/upload", method="POST", body=bytes(200_000)) == (200, b"200000")


async def test_many_uploads_that_nobody_reads(client: H3Client, probe: Probe) -> None:
    streams = [client.request("/slow", method="POST", body=bytes(400_000), more=True) for _ in range(20)]
    await until(lambda: probe.running > 3, "handlers")
    senders = [client.quic._streams[stream].sender for stream in streams]
    taken = await settled(lambda: sum(out.highest_offset for out in senders))
    assert taken <= CONNECTION_WINDOW
    for stream in streams:
        client.quic.reset_stream(stream, 0x10C)
        client.quic.stop_stream(stream, 0x10C)
    client.transmit()
    await until(lambda: not probe.running, "the handlers' end")
    assert await client.get("/upload", method="POST", body=bytes(3_000_000)) == (200, b"3000000")


async def test_bytes_out_of_order_count_with_the_gaps_before_them(world: World, client: H3Client) -> None:
    """One byte at the end of each request's window would have memory made for all of it."""
    assert await client.get("/hi") == (200, b"hi")
    (call,) = (c for c in world.gateway._epoch.connections._open if isinstance(c, QuicCall))
    client.quic._remote_max_data = 1 << 40
    for _ in range(90):
        stream = client.quic.get_next_available_stream_id()
        client.quic.send_stream_data(stream, bytes(STREAM_WINDOW))
        client.quic._streams[stream].sender._pending.subtract(0, STREAM_WINDOW - 1)
    client.transmit()
    await until(lambda: client.over, "the end of the connection")
    assert sum(len(s.receiver._buffer) for s in call._quic._streams.values()) <= CONNECTION_WINDOW


async def test_a_client_that_vanishes(world: World, certificate: Pair, probe: Probe) -> None:
    """Its handlers end, and nothing of it is left; it had said that two seconds of silence are its end."""
    await world.start(ROUTES, tls=tls(certificate))
    client = await H3Client.to(world.port, certificate[0], idle_timeout=2.0)
    client.request("/slow")
    client.request("/stream/door")
    client.request("/flood")
    await until(lambda: probe.running == 2 and world.cameras.subscriptions, "the handlers")
    client.vanish()
    await until(lambda: not probe.running and not world.cameras.subscriptions, "the handlers' end", 15)
    await until(lambda: world.gateway.status()["connections"] == 0, "the connection's end", 15)
    assert not [line for line in world.log if line.get("event") == "connection_failed"]


async def test_a_client_that_says_farewell(world: World, certificate: Pair, probe: Probe) -> None:
    await world.start(ROUTES, tls=tls(certificate))
    client = await H3Client.to(world.port, certificate[0])
    client.request("/slow")
    client.request("/stream/door")
    await until(lambda: probe.running and world.cameras.subscriptions, "the handlers")
    await client.end()
    await until(lambda: probe.cancelled and not world.cameras.subscriptions, "the handlers' end", 5)
    await until(lambda: world.gateway.status()["connections"] == 0, "the connection's end", 5)


async def test_a_request_that_is_dropped_takes_no_other_with_it(client: H3Client, probe: Probe) -> None:
    stream = client.request("/dropping")
    await until(lambda: stream in client.reset and probe.cancelled, "a reset, and its handler's knowledge")
    assert b"never" not in client.bodies[stream]
    assert await client.get("/hi") == (200, b"hi")


async def test_a_body_that_comes_too_slowly(client: H3Client) -> None:
    stream = client.request("/hasty", method="POST", body=b"x", more=True)
    await until(lambda: stream in client.heads, "the answer")
    assert client.status(stream) == 408
    assert await client.get("/hi") == (200, b"hi")


async def test_an_idle_connection_is_ended(world: World, client: H3Client) -> None:
    """However often it says that it is there; and not while a request is open."""
    world.gateway._config.keep_alive_timeout = 0.3
    stream = client.request("/stream/door")
    await until(lambda: world.cameras.subscriptions, "a viewer")
    for _ in range(10):
        await client.ping()
        await asyncio.sleep(0.06)
    assert not client.over
    client.quic.stop_stream(stream, 0x10C)
    client.transmit()
    await until(lambda: client.over, "the end of the connection")
    assert client.code == 0x100


async def test_a_client_that_moves(client: H3Client) -> None:
    """Its port is another one all at once, as behind a router that forgets: the connection goes on."""

    async def port() -> int:
        return int(json.loads((await client.get("/seen"))[1])["client"][1])

    before = await port()
    stays, client._transport = client._transport, None
    assert stays is not None
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: client, local_addr=("127.0.0.1", 0))
    now = transport.get_extra_info("sockname")[1]
    stays.abort()
    deadline = loop.time() + 10
    while (seen := await port()) != now:
        assert seen == before, "an address that it has never shown"
        assert loop.time() < deadline


async def test_a_version_that_is_not_spoken(world: World, client: H3Client) -> None:
    """Is answered with those that are, and only where that makes no more of what it cost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", world.port))
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        head = b"\xc3\x0a\x0a\x0a\x0a\x08abcdefgh\x03xyz"
        sock.send(head + bytes(100))
        sock.send(head + bytes(1200))
        answer = await asyncio.wait_for(loop.sock_recv(sock, 2000), 5)
        assert answer[1:5] == bytes(4)
        assert b"\x00\x00\x00\x01" in answer[5:]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(sock, 2000), 0.3)


async def test_a_short_head_that_stands_for_a_long_one(client: H3Client) -> None:
    """A byte names a field of the table that all know (QPACK, appendix A): 30 kB of those are a megabyte."""
    stream = client.quic.get_next_available_stream_id()
    client.bodies[stream] = bytearray()
    authority = b"\x50\x09localhost"
    head = b"\x00\x00\xd1\xd7" + authority + b"\xc1" + b"\xdf" * 30_000
    client.quic.send_stream_data(stream, b"\x01" + (0x80000000 | len(head)).to_bytes(4, "big") + head, end_stream=True)
    client.transmit()
    assert await client.answer(stream) == (431, b"")


async def test_no_table_is_kept_for_answers(client: H3Client) -> None:
    """However large a one the client would keep: each entry would be told on a stream of its own."""
    assert client.http._max_table_capacity > 0
    for _ in range(5):
        assert await client.get("/hi") == (200, b"hi")
    assert client.http._peer_encoder_stream_id is not None
    assert client.http._encoder_bytes_received == 0


async def test_datagrams_that_mean_nothing(world: World, certificate: Pair, client: H3Client) -> None:
    """Noise, noise that looks like QUIC, and packets of a real connection with bytes exchanged."""
    dice = random.Random(7)
    quic = QuicConnection(configuration=client.quic.configuration)
    quic.connect(("127.0.0.1", world.port), now=0.0)
    real = quic.datagrams_to_send(now=0.0)[0][0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", world.port))
        for number in range(1500):
            kind = number % 5
            if kind == 0:
                data = dice.randbytes(dice.randrange(1500))
            elif kind == 1:  # a long head of version 1, an Initial
                data = b"\xc3\x00\x00\x00\x01\x08" + dice.randbytes(8) + b"\x00\x00\x44\x90" + dice.randbytes(1200)
            elif kind == 2:  # of no known version
                data = b"\xc3" + dice.randbytes(4) + b"\x08" + dice.randbytes(1300)
            elif kind == 3:
                data = real[: dice.randrange(len(real))] + dice.randbytes(dice.randrange(200))
            else:
                spoiled = bytearray(real)
                for _ in range(dice.randrange(1, 20)):
                    spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
                data = bytes(spoiled)
            sock.send(data)
            if number % 50 == 0:
                assert await client.get("/hi") == (200, b"hi")
    late = await H3Client.to(world.port, certificate[0])
    assert await late.get("/hi") == (200, b"hi")
    await late.end()
    assert not [line for line in world.log if line.get("event") == "connection_failed"]
    assert world.gateway.status()["connections"] <= OPENING_LIMIT + 3


async def test_frames_that_mean_nothing(world: World, certificate: Pair, client: H3Client) -> None:
    """Within a connection: it may end, others do not."""
    dice = random.Random(11)
    for _ in range(60):
        bad = await H3Client.to(world.port, certificate[0])
        for number in range(4):
            unidirectional = number % 2 == 1
            stream = bad.quic.get_next_available_stream_id(is_unidirectional=unidirectional)
            kind = bytes([dice.randrange(5)])
            bad.quic.send_stream_data(
                stream, kind + dice.randbytes(dice.randrange(300)), end_stream=dice.random() < 0.5
            )
        bad.transmit()
        assert await client.get("/hi") == (200, b"hi")
        await bad.end()
    assert not [line for line in world.log if line.get("event") == "connection_failed"]


async def test_handshakes_that_go_nowhere(world: World, certificate: Pair, client: H3Client) -> None:
    """Of many at once, a client has to show first that it is where it says; real ones get in all the same."""
    socks = []
    for _ in range(OPENING_LIMIT + 20):
        quic = QuicConnection(configuration=client.quic.configuration)
        quic.connect(("127.0.0.1", world.port), now=0.0)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.sendto(quic.datagrams_to_send(now=0.0)[0][0], ("127.0.0.1", world.port))
        socks.append(sock)
    await until(lambda: world.gateway.status()["connections"] >= OPENING_LIMIT, "the handshakes")
    late = await H3Client.to(world.port, certificate[0])
    assert late.quic._retry_count == 1
    assert await late.get("/hi") == (200, b"hi")
    await late.end()
    assert world.gateway.status()["connections"] <= OPENING_LIMIT + 2
    for sock in socks:
        sock.close()

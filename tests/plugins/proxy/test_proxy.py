"""Requests through a real gateway to real services, told in bytes on both sides.

Over 400 lines, since all of it is about one handler and is told with the same service.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import Client
from tests.gateway.world import BOTH, World, route, until
from tests.plugins.proxy.upstream import Heard, Service, reply

SERVERS = BOTH

pytestmark = pytest.mark.integration


async def serve(world: World, *services: Service | str, path: str = "/api/**", **options: Any) -> None:
    urls = [s if isinstance(s, str) else s.url for s in services]
    await world.start([route(path, "proxy", upstreams=urls, **options)])


async def test_a_request_goes_through(world: World, service: Service) -> None:
    await serve(world, service)
    async with await Client.connect(world.port) as client:
        answer = await client.get(
            "/api/v1/x?a=b", headers="X-Forwarded-For: 6.6.6.6\r\nConnection: X-Gone\r\nX-Gone: 1\r\n"
        )
        assert (answer.status, answer.body) == (200, b"hello")
        assert "date" in answer.headers
        again = await client.get("/api/v1/x", method="HEAD")
        assert again.headers["content-length"] == "5"
    heard = service.heard[0]
    assert heard.first == "GET /api/v1/x?a=b HTTP/1.1"
    assert heard.get("host") == "localhost"
    assert heard.get("x-forwarded-for") == "127.0.0.1"
    assert heard.get("x-gone") is None
    assert heard.get("content-length") is None
    assert service.connections == 1, "the second request goes over the same connection"


async def test_a_response_comes_back_as_it_was(world: World, service: Service) -> None:
    """One date, the service's own; every field that is not for this hop, in order, doubled ones too."""

    async def talk(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields = ("Date: Sun, 06 Nov 1994 08:49:37 GMT", "Set-Cookie: a=1", "Set-Cookie: b=2", "Server: old")
        writer.write(reply(b"hi", *fields, "Keep-Alive: timeout=5", "X-Empty:"))

    service.talk = talk
    await serve(world, service)
    async with await Client.connect(world.port) as client:
        client.send(b"GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n")
        head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 5)
    assert head.lower().splitlines() == [
        b"http/1.1 200 ",
        b"content-length: 2",
        b"date: sun, 06 nov 1994 08:49:37 gmt",
        b"set-cookie: a=1",
        b"set-cookie: b=2",
        b"server: old",
        b"x-empty: ",
        b"",
    ]


async def test_prefix_base_and_host(world: World, service: Service) -> None:
    await serve(world, f"{service.url}/inner", strip_prefix=True, host="upstream")
    async with await Client.connect(world.port) as client:
        assert (await client.get("/api/a%20b/c")).status == 200
    assert service.heard[0].first == "GET /inner/a%20b/c HTTP/1.1"
    assert service.heard[0].get("host") == f"127.0.0.1:{service.port}"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_goes_up(world: World, service: Service, chunked: bool) -> None:
    await serve(world, service)
    body = bytes(range(256)) * 1000
    async with await Client.connect(world.port) as client:
        if chunked:
            client.send(b"POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:7], body[7:])) + b"0\r\n\r\n")
            assert (await client.answer()).status == 200
        else:
            assert (await client.get("/api/x", method="POST", body=body)).status == 200
    assert service.heard[0].body == body
    assert service.heard[0].get("transfer-encoding") == ("chunked" if chunked else None)


async def test_parts_arrive_as_they_are_sent(world: World, service: Service) -> None:
    """An event stream is not held back, and neither is a body that is answered while it comes."""

    async def echo(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(await reader.readline(), 16):
            data = await reader.readexactly(size)
            await reader.readexactly(2)
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await reader.readline()
        writer.write(b"0\r\n\r\n")

    service.talk = echo
    await serve(world, service)
    async with await Client.connect(world.port) as client:
        client.send(b"POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nzero\r\n")
        assert (await client.head()).status == 200
        parts = client.chunks()
        assert await asyncio.wait_for(anext(parts), 5) == b"zero"
        for word in (b"one", b"two", b"three"):
            client.send(b"%x\r\n%b\r\n" % (len(word), word))
            assert await asyncio.wait_for(anext(parts), 5) == word
        client.send(b"0\r\n\r\n")
        assert [part async for part in parts] == []


async def test_a_large_body_waits_for_a_slow_client(world: World, service: Service) -> None:
    """Nobody keeps in memory what the client does not take."""
    taken = 0

    async def pour(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(bytes(100_000))
            await writer.drain()
            taken += 100_000

    service.talk = pour
    await serve(world, service)
    async with await Client.connect(world.port, limit=1 << 16) as client:
        client.send(b"GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.head()
        seen = -1
        while seen != taken:
            seen = taken
            await asyncio.sleep(0.3)
        assert taken < 30_000_000, "all that kernels and buffers hold"
        got = 0
        while got < 100_000_000:
            got += len(await client.reader.read(1 << 20))


async def test_an_early_no_is_heard(world: World, service: Service) -> None:
    async def no(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"too much", "Connection: close", status="413 Content Too Large"))
        await writer.drain()
        writer.close()

    service.talk = no
    await serve(world, service, max_body="1GiB")
    for _ in range(20):  # whether a write fails before the answer is read is for the kernel to say
        async with await Client.connect(world.port) as client:
            client.send(b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))
            answer = await client.answer()
        assert (answer.status, answer.body) == (413, b"too much")


@pytest.mark.parametrize("end", ["leaves", "too large"])
async def test_nothing_follows_a_request_that_was_not_whole(world: World, service: Service, end: str) -> None:
    """The upstream would take what comes next on that connection for the rest of it, and answer it to somebody else."""

    answered = asyncio.Event()

    async def early(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if heard.first.startswith("POST"):
            await reader.readexactly(10)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            await writer.drain()
            await answered.wait()
        writer.write(b"hello" if heard.first.startswith("POST") else reply())

    service.talk = early
    await serve(world, service, max_body="1KiB")
    async with await Client.connect(world.port) as client:
        if end == "leaves":
            client.send(b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n" + bytes(10))
            await client.head()
        else:
            client.send(
                b"POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\na\r\n" + bytes(10) + b"\r\n"
            )
            await client.head()
            client.send(b"800\r\n" + bytes(2048) + b"\r\n")
            await client.writer.drain()
    answered.set()
    async with await Client.connect(world.port) as other:
        assert (await other.get("/api/y")).body == b"hello"
    assert [(heard.first.split()[0], heard.connection) for heard in service.heard] == [("POST", 1), ("GET", 2)]


async def test_a_body_has_a_limit(world: World, service: Service) -> None:
    await serve(world, service, max_body="1KiB")
    async with await Client.connect(world.port) as client:
        answer = await client.get("/api/x", method="POST", body=bytes(2000))
    assert answer.status == 413


async def cut(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def test_what_is_cut_off_is_cut_off_for_the_client(world: World, service: Service) -> None:
    service.talk = cut
    await serve(world, service)
    async with await Client.connect(world.port) as client:
        client.send(b"GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.head()).headers["content-length"] == "100"
        assert await client.closed() == b"half"
    noted = [r for r in world.log if r["level"] in ("warning", "error")]
    assert [r["event"] for r in noted] == ["upstream_cut_off"], "one line, and no traceback"
    assert noted[0]["upstream"] == service.url
    assert "middle" in noted[0]["error"]


async def nonsense(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    )


async def switches(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")


async def nothing(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def silence(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize(
    ("talk", "status", "reason"),
    [
        (nonsense, 502, "UpstreamBroken"),
        (switches, 502, "UpstreamBroken"),
        (nothing, 502, "UpstreamBroken"),
        (silence, 504, "UpstreamTimeout"),
    ],
)
async def test_a_service_that_fails(world: World, service: Service, talk: Any, status: int, reason: str) -> None:
    service.talk = talk
    await serve(world, service, timeouts={"first_byte": "300ms"})
    async with await Client.connect(world.port) as client:
        answer = await client.get("/api/x", method="POST", body=b"x")
    assert (answer.status, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "127.0.0.1" not in answer.body.decode(), "nothing of the inside"
    noted = [r for r in world.log if r["event"] == "upstream_failed"]
    assert noted
    assert noted[0]["upstream"] == service.url
    assert len(service.heard) == 1, "a request with a body is sent once"


async def test_nobody_there(world: World, service: Service) -> None:
    await service.stop()
    await serve(world, service, "unix:/nonexistent/app.sock")
    async with await Client.connect(world.port) as client:
        answer = await client.get("/api/x")
    assert (answer.status, answer.json()["reason"]) == (502, "UpstreamUnreachable")


async def test_another_one_takes_over(world: World, service: Service, other: Service) -> None:
    await service.stop()
    await serve(world, service, other, balance="first", circuit_breaker={"failures": 3, "open_for": "1m"})
    async with await Client.connect(world.port) as client:
        for _ in range(10):
            assert (await client.get("/api/x", method="POST", body=b"x")).status == 200
    failed = [r for r in world.log if r["event"] == "upstream_failed"]
    assert len(failed) == 3, "then it is left alone"
    assert [heard.body for heard in other.heard] == [b"x"] * 10


async def test_statuses_are_tried_again_elsewhere(world: World, service: Service, other: Service) -> None:
    async def busy(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard.take(reader)
        writer.write(reply(b"busy", status="503 Busy"))

    service.talk = busy
    await serve(world, service, other, balance="first", retry={"statuses": [503]})
    async with await Client.connect(world.port) as client:
        assert (await client.get("/api/x")).body == b"hello"
        assert (await client.get("/api/x", method="POST", body=b"x")).body == b"busy", "a POST is sent once"
        await other.stop()
        assert (await client.get("/api/x")).status in (502, 503)


async def test_a_connection_that_was_kept_too_long_costs_nothing(world: World, service: Service) -> None:
    await serve(world, service)
    async with await Client.connect(world.port) as client:
        assert (await client.get("/api/x")).status == 200

        async def gone_once(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if heard.connection == 1:
                writer.close()
            else:
                writer.write(reply())

        service.talk = gone_once
        assert (await client.get("/api/x")).status == 200
    assert [heard.connection for heard in service.heard] == [1, 1, 2]


async def test_health_checks_take_it_out_and_back(world: World, service: Service, other: Service) -> None:
    sick = False

    async def talk(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if heard.first.startswith("GET /well") and sick:
            writer.write(reply(b"", status="500 Sick"))
        else:
            writer.write(reply(b"first"))

    service.talk = talk
    health = {"path": "/well", "every": "50ms", "unhealthy": 2}
    await serve(world, service, other, balance="first", health=health)
    async with await Client.connect(world.port) as client:
        assert (await client.get("/api/x")).body == b"first"
        sick = True
        await until(lambda: any(r["event"] == "upstream_unwell" for r in world.log), "it is found unwell")
        assert (await client.get("/api/x")).body == b"hello"
        sick = False
        await until(lambda: any(r["event"] == "upstream_well" for r in world.log), "it is well again")
        assert (await client.get("/api/x")).body == b"first"


@pytest.mark.parametrize("host", ["preserve", "upstream", "app.example"])
async def test_health_checks_ask_by_the_name_that_requests_do(world: World, service: Service, host: str) -> None:
    await serve(world, service, host=host, health={"every": "50ms"})
    await until(lambda: service.heard, "it is asked")
    name = "app.example" if host == "app.example" else f"127.0.0.1:{service.port}"
    assert service.heard[0].get("host") == name


async def test_all_connections_taken(world: World, service: Service) -> None:
    service.talk = silence
    await serve(world, service, connections={"most": 1, "wait": "100ms"})
    async with await Client.connect(world.port) as first, await Client.connect(world.port) as second:
        first.send(b"GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: service.heard, "the first is under way")
        answer = await second.get("/api/x")
    assert (answer.status, answer.json()["reason"]) == (503, "UpstreamBusy")


async def test_a_client_that_leaves_ends_its_request(world: World, service: Service) -> None:
    left = asyncio.Event()

    async def waits(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""
        left.set()
        writer.close()

    service.talk = waits
    await serve(world, service)
    async with await Client.connect(world.port) as client:
        client.send(b"GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: service.heard, "it is under way")
    await asyncio.wait_for(left.wait(), 10)


async def test_unix_sockets(world: World, service: Service) -> None:
    path = f"{world.root}/app.sock"
    app = await Service().start_unix(path)
    try:
        await serve(world, f"unix:{path}")
        async with await Client.connect(world.port) as client:
            assert (await client.get("/api/x")).body == b"hello"
    finally:
        await app.stop()


async def test_tls_is_verified(world: World, certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    app = await Service().start(context)
    url = f"https://127.0.0.1:{app.port}"
    try:
        await world.start(
            [
                route("/known/**", "proxy", upstreams=[url], tls={"ca": str(certificate[0])}),
                {
                    **route("/beside/**", "proxy", upstreams=[url], tls={"ca": certificate[0].name}),
                    "base_dir": str(certificate[0].parent),
                },
                route("/unknown/**", "proxy", upstreams=[url]),
                route(
                    "/named/**", "proxy", upstreams=[url], tls={"ca": str(certificate[0]), "server_name": "else.where"}
                ),
                route("/blind/**", "proxy", upstreams=[url], tls={"verify": False}),
            ]
        )
        async with await Client.connect(world.port) as client:
            names = ("known", "beside", "unknown", "named", "blind")
            found = {name: (await client.get(f"/{name}/x")).status for name in names}
        assert found == {"known": 200, "beside": 200, "unknown": 502, "named": 502, "blind": 200}
    finally:
        await app.stop()


async def test_an_edit_lets_requests_finish(world: World, service: Service) -> None:
    async def slow(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(reply())

    service.talk = slow
    await serve(world, service)
    async with await Client.connect(world.port) as client:
        client.send(b"GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: service.heard, "it is under way")
        await serve(world, service, retry={"attempts": 3})
        assert (await client.answer()).status == 200


async def test_many_at_once_share_connections(world: World, service: Service) -> None:
    await serve(world, service, connections={"most": 4})
    began = time.monotonic()

    async def one() -> int:
        async with await Client.connect(world.port) as client:
            return sum([(await client.get("/api/x")).status for _ in range(5)])

    assert await asyncio.gather(*(one() for _ in range(40))) == [1000] * 40
    assert service.connections <= 4
    assert time.monotonic() - began < 20

"""An upstream's answers to a client of HTTP/3: all that one of HTTP/2 gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.h3client import H3Client
from tests.gateway.world import World, route, until
from tests.plugins.proxy.test_h2 import CHUNKED, LINK, TE, says
from tests.plugins.proxy.upstream import Service

H3_MESSAGE_ERROR = 0x10E


@pytest.fixture
async def client(world: World, service: Service, certificate: tuple[Path, Path]) -> AsyncIterator[H3Client]:
    cert, key = certificate
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}, "http3": True}
    await world.start([route("/**", "proxy", upstreams=[service.url], chain=["access_log", "compress"])], tls=tls)
    it = await H3Client.to(world.port, cert)
    yield it
    await it.end()


async def test_early_hints(service: Service, client: H3Client) -> None:
    says(service, f"HTTP/1.1 103 Early Hints\r\nLink: {LINK}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert await client.get("/") == (200, b"ok")
    assert client.hints == [(b"link", LINK.encode())]


async def test_announced_trailers(service: Service, client: H3Client) -> None:
    announced = "Trailer: X-Checksum\r\nTrailer: server-timing\r\n"
    trailers = "X-Checksum: 5d41\r\nX-Secret: not announced\r\nServer-Timing: db;dur=5\r\n"
    says(service, f"{CHUNKED}{announced}\r\n5\r\nhello\r\n0\r\n{trailers}\r\n")
    stream = client.request("/", TE)
    assert await client.answer(stream) == (200, b"hello")
    assert client.trailers[stream] == [(b"x-checksum", b"5d41"), (b"server-timing", b"db;dur=5")]


async def test_trailers_that_do_not_come(service: Service, client: H3Client) -> None:
    says(service, f"{CHUNKED}Trailer: X-Checksum\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    stream = client.request("/", TE)
    assert await client.answer(stream) == (200, b"hello")
    assert stream not in client.trailers


async def test_a_body_of_unknown_length(service: Service, client: H3Client) -> None:
    stream = client.request("/", method="POST", body=b"a" * 100_000, more=True)
    await until(lambda: service.heard, "the head upstream")
    assert service.heard[0].get("transfer-encoding") == "chunked"
    client.http.send_data(stream, b"b", end_stream=True)
    client.transmit()
    assert (await client.answer(stream))[0] == 200


async def test_a_body_that_is_longer_than_announced_is_no_second_request(service: Service, client: H3Client) -> None:
    """Nor is its end awaited, which would tell of it: there need not be one."""
    hidden = b"POST /admin HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
    together = client.request("/", ("content-length", "1"), method="POST", body=b"x" + hidden, more=True)
    apart = client.request("/", ("content-length", "1"), method="POST", body=b"x", more=True)
    await until(lambda: service.heard, "the head upstream")
    client.http.send_data(apart, hidden, end_stream=False)
    client.transmit()
    await until(lambda: {together, apart} <= client.reset.keys(), "resets")
    assert client.reset == dict.fromkeys((together, apart), H3_MESSAGE_ERROR)
    assert (await client.get("/"))[0] == 200
    assert {heard.first for heard in service.heard} <= {"POST / HTTP/1.1", "GET / HTTP/1.1"}

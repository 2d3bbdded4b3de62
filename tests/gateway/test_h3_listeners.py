"""HTTP/3's UDP sockets: beside TCP's, changed while they serve, and ended in good order."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.authority import Authority
from tests.gateway.h2client import H2Client
from tests.gateway.h3client import H3Client
from tests.gateway.plugins import Probe
from tests.gateway.test_h3 import tls
from tests.gateway.world import World, route, until
from vidops.errors import PermanentError

ROUTES = [
    route("/hi", "respond", body="hi"),
    route("/seen", "seen"),
    route("/slow", "slow", seconds=0.5),
    route("/ages", "slow", seconds=60),
    route("/stream/**", "stream"),
]
Pair = tuple[Path, Path]


class Clients:
    """Connections of one test, all of them ended after it."""

    def __init__(self) -> None:
        self.made: list[H3Client] = []

    async def __call__(self, port: int, cert: Path, **options: Any) -> H3Client:
        self.made.append(await H3Client.to(port, cert, **options))
        return self.made[-1]


@pytest.fixture
async def connect() -> AsyncIterator[Clients]:
    it = Clients()
    yield it
    for client in it.made:
        await client.end()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def udp_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody has the UDP port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, port))
        except OSError:
            return True
        return False


async def test_a_renewed_certificate_is_for_new_connections(
    world: World, certificate: Pair, other_certificate: Pair, tmp_path: Path, connect: Clients
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(certificate[0].read_bytes())
    key.write_bytes(certificate[1].read_bytes())
    await world.start(ROUTES, tls=tls((cert, key)))
    old = await connect(world.port, certificate[0])
    cert.write_bytes(other_certificate[0].read_bytes())
    key.write_bytes(other_certificate[1].read_bytes())
    await world.gateway.load()
    new = await connect(world.port, other_certificate[0])
    assert new.certificate != old.certificate
    assert await new.get("/hi") == (200, b"hi")
    assert await old.get("/hi") == (200, b"hi")
    assert not old.over


async def test_a_certificate_that_cannot_be_used_changes_nothing(
    world: World, certificate: Pair, tmp_path: Path, connect: Clients
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(certificate[0].read_bytes())
    key.write_bytes(certificate[1].read_bytes())
    await world.start(ROUTES, tls=tls((cert, key)))
    key.write_text("none")
    with pytest.raises(PermanentError, match="cannot be used"):
        await world.gateway.load()
    assert await (await connect(world.port, certificate[0])).get("/hi") == (200, b"hi")


@pytest.mark.parametrize("between", [b"", b"\n\nsubject: somebody\n"])
async def test_the_whole_chain_is_shown(tmp_path: Path, world: World, connect: Clients, between: bytes) -> None:
    """Whatever stands between certificates, and however lines end."""
    authority = Authority(tmp_path)
    cert, key = authority.issue(tmp_path, CN="localhost")
    both = cert.read_bytes() + between + authority.file.read_bytes() + b"\n"
    cert.write_bytes(both.replace(b"\n", b"\r\n") if between else both)
    await world.start(ROUTES, tls=tls((cert, key)))
    client = await connect(world.port, authority.file)
    assert client.certificate.issuer == authority.name
    assert [shown.subject for shown in client.chain] == [authority.name]
    assert await client.get("/hi") == (200, b"hi")


async def test_a_key_of_a_kind_that_aioquic_lacks(world: World, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    with pytest.raises(PermanentError, match="HTTP/3 is served with keys of RSA, P-256, P-384 and Ed25519 alone"):
        await world.start(ROUTES, tls=tls((cert, key)))
    await world.start(ROUTES, tls=tls((cert, key), http3=False))


async def test_on_and_off(world: World, certificate: Pair, connect: Clients) -> None:
    await world.start(ROUTES, tls=tls(certificate, http3=False))
    port = world.port
    h2 = await H2Client.connect(port, certificate[0])
    assert not udp_open(port)
    await world.edit(ROUTES, tls=tls(certificate))
    client = await connect(port, certificate[0])
    assert await client.get("/hi") == (200, b"hi")
    await world.edit(ROUTES, tls=tls(certificate, http3=False))
    assert await client.get("/hi") == (200, b"hi"), "established connections go on"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connect(port, certificate[0]), 0.5)
    await client.end()
    await until(lambda: not udp_open(port), "the socket's end with its last connection")
    await world.edit(ROUTES, tls=tls(certificate))
    assert await (await connect(port, certificate[0])).get("/hi") == (200, b"hi")
    stream = h2.request("/hi")
    assert await h2.answer(stream) == (200, b"hi"), "TCP noticed nothing"
    await h2.close()


async def test_an_address_that_comes_back_before_its_connections_end(
    world: World, certificate: Pair, connect: Clients
) -> None:
    first, second = (f"127.0.0.1:{free_port()}" for _ in range(2))
    await world.start(ROUTES, bind=[first], tls=tls(certificate))
    port = world.port
    client = await connect(port, certificate[0])
    await world.edit(ROUTES, bind=[second], tls=tls(certificate))
    assert await client.get("/hi") == (200, b"hi")
    assert await (await connect(world.port, certificate[0])).get("/hi") == (200, b"hi")
    await world.edit(ROUTES, bind=[second, first], tls=tls(certificate))
    assert await client.get("/hi") == (200, b"hi")
    assert await (await connect(port, certificate[0])).get("/hi") == (200, b"hi")


async def test_an_edit_that_fails_leaves_udp_as_it_was(world: World, certificate: Pair, connect: Clients) -> None:
    await world.start(ROUTES, tls=tls(certificate))
    port, other = world.port, free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", other))
        with pytest.raises(PermanentError, match=r"for HTTP/3, by UDP: the address is in use by .*\(pid "):
            await world.edit(ROUTES, bind=["127.0.0.1:0", f"127.0.0.1:{other}"], tls=tls(certificate))
    broken = [*ROUTES, route("/x", "unstartable")]
    with pytest.raises(PermanentError, match="does not start"):
        await world.edit(broken, bind=["127.0.0.1:0", f"127.0.0.1:{other}"], tls=tls(certificate))
    assert not udp_open(other)
    assert await (await connect(port, certificate[0])).get("/hi") == (200, b"hi")


async def test_ipv6_and_both(world: World, certificate: Pair, connect: Clients) -> None:
    await world.start(ROUTES, bind=["[::1]:0", "127.0.0.1:0"], tls=tls(certificate))
    six, four = (int(address.rpartition(":")[2]) for address in world.gateway.addresses)
    assert await (await connect(six, certificate[0], host="::1")).get("/hi") == (200, b"hi")
    assert await (await connect(four, certificate[0])).get("/hi") == (200, b"hi")


@pytest.mark.parametrize(("bind", "host"), [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")])
async def test_answers_come_from_the_address_that_was_asked(
    world: World, certificate: Pair, connect: Clients, bind: str, host: str
) -> None:
    await world.start(ROUTES, bind=[bind], tls=tls(certificate))
    client = await connect(world.port, certificate[0], host=host)
    status, body = await client.get("/seen")
    assert status == 200
    assert f'"server":["{host}"'.encode() in body.replace(b" ", b"")


async def test_where_it_can_serve_nothing(world: World, certificate: Pair, short: Path) -> None:
    with pytest.raises(PermanentError, match="no address of bind is a host:port"):
        await world.start(ROUTES, bind=[f"unix:{short}/s"], tls=tls(certificate))
    await world.start(ROUTES, bind=[f"unix:{short}/s", "127.0.0.1:0"], tls=tls(certificate))


async def test_not_with_certificates_of_clients(world: World, certificate: Pair) -> None:
    with pytest.raises(PermanentError, match="exclude each other"):
        await world.start(ROUTES, tls=tls(certificate, client_ca=str(certificate[0])))


async def test_the_end(world: World, certificate: Pair, connect: Clients) -> None:
    """Idle connections end at once, streams too; requests are answered, and no new one is taken."""
    await world.start(ROUTES, tls=tls(certificate), drain_timeout=5.0)
    idle, busy, viewer = [await connect(world.port, certificate[0]) for _ in range(3)]
    slow = busy.request("/slow")
    stream = viewer.request("/stream/door")
    await until(lambda: world.cameras.subscriptions, "a viewer")
    await until(lambda: world.gateway.status()["requests"] == 2, "both requests")
    ending = asyncio.create_task(world.gateway.close())
    await until(lambda: idle.over and busy.went_away, "news of the end")
    assert not busy.over
    late = busy.request("/hi")
    assert await busy.answer(slow) == (200, b"late")
    assert late not in busy.heads
    assert busy.reset.get(late) == 0x10B
    await viewer.answer(stream)
    assert stream not in viewer.reset
    await until(lambda: busy.over and viewer.over, "the connections' end")
    assert busy.code == idle.code == 0x100
    await asyncio.wait_for(ending, 5)
    assert world.gateway.status()["connections"] == 0


async def test_the_end_waits_for_nobody_for_ever(
    world: World, certificate: Pair, connect: Clients, probe: Probe
) -> None:
    await world.start(ROUTES, tls=tls(certificate), drain_timeout=0.2)
    client = await connect(world.port, certificate[0])
    deaf = await connect(world.port, certificate[0])
    port = world.port
    stream = client.request("/ages")
    deaf.request("/stream/door")
    await until(lambda: probe.running and world.cameras.subscriptions, "both")
    deaf.deaf = True
    await asyncio.wait_for(world.gateway.close(), 8)
    assert (await client.answer(stream))[0] == 503
    assert not udp_open(port)

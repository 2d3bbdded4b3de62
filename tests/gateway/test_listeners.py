"""Where a gateway listens, and how that changes while it serves."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import BOTH, World, route, until
from vidops.errors import PermanentError
from vidops.gateway.binds import Bind

SERVERS = BOTH

ROUTES = [route("/", "respond", body="here"), route("/slow", "slow", seconds=0.3)]


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("0.0.0.0:8080", "0.0.0.0", 8080, ""),
        ("[::]:80", "::", 80, ""),
        ("[::1]:0", "::1", 0, ""),
        ("cam.local:443", "cam.local", 443, ""),
        ("unix:/run/a b.sock", "", 0, "/run/a b.sock"),
    ],
)
def test_binds_as_they_are_written(text: str, host: str, port: int, path: str) -> None:
    assert Bind.parse(text) == Bind(text, host, port, path)


def test_more_ways_to_write_one() -> None:
    assert Bind.parse("unix:/run/w.sock?mode=0600") == Bind(
        "unix:/run/w.sock?mode=0600", path="/run/w.sock", mode=0o600
    )
    assert Bind.parse("unix:/run/w.sock?mode=9") == Bind("unix:/run/w.sock?mode=9", path="/run/w.sock?mode=9")
    assert Bind.parse("fd://web").passed == "web"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8080", "write host:port"),
        (":8080", "write host:port"),
        ("::1:80", "write host:port"),
        ("localhost:", "not a port"),
        ("localhost:http", "not a port"),
        ("localhost:65536", "not a port"),
        ("localhost:٣", "not a port"),
        ("unix:run/x.sock", "must be absolute"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
        ("fd://", "FileDescriptorName"),
        ("fd://a/b", "FileDescriptorName"),
    ],
)
def test_binds_that_are_none(text: str, said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        Bind.parse(text)


@given(st.text(max_size=40) | st.text("0123456789:[]./unix", max_size=20))
def test_any_text_is_a_bind_or_a_clear_error(text: str) -> None:
    said = ""
    try:
        bind = Bind.parse(text)
        assert bind.path or bind.passed or (bind.host and 0 <= bind.port <= 65535)
    except PermanentError as error:
        said = str(error)
    assert not said or repr(text) in said


async def test_a_new_address_is_open_before_the_old_one_closes(world: World) -> None:
    await world.start(ROUTES)
    old = world.port
    async with await Client.connect(old) as client:
        assert (await client.get("/")).status == 200
        running = asyncio.ensure_future(get(old, "/slow"))
        await until(lambda: world.gateway.status()["requests"] == 2, "it runs")
        await world.edit(ROUTES, bind=["127.0.0.2:0", "127.0.0.1:0", f"unix:{world.root}/front.sock"])
        assert world.gateway.addresses[0].startswith("127.0.0.2:")
        assert world.gateway.addresses[1:] == [f"127.0.0.1:{old}", f"unix:{world.root}/front.sock"]
        await world.edit(ROUTES, bind=["127.0.0.2:0"])
        assert (await client.get("/")).status == 200, "an established connection goes on"
        assert (await running).body == b"late"
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(old)
    assert not Path(f"{world.root}/front.sock").exists()


async def test_a_unix_socket_is_for_its_group(world: World) -> None:
    path = f"{world.root}/front.sock"
    await world.start(ROUTES, bind=[f"unix:{path}"])
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    assert world.gateway.addresses == [f"unix:{path}"]
    async with Client(*await asyncio.open_unix_connection(path)) as client:
        assert (await client.get("/")).body == b"here"


async def test_a_socket_that_a_dead_process_left_is_taken_over(world: World) -> None:
    path = f"{world.root}/front.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    await world.start(ROUTES, bind=[f"unix:{path}"])
    assert world.gateway.addresses == [f"unix:{path}"]


async def test_what_is_in_the_way_is_left_alone(world: World) -> None:
    path = Path(f"{world.root}/front.sock")
    path.write_text("precious")
    with pytest.raises(PermanentError, match="not a socket"):
        await world.start(ROUTES, bind=[f"unix:{path}"])
    assert path.read_text() == "precious"


@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_an_address_in_use_names_its_holder(world: World, family: str) -> None:
    if family == "tcp":
        held = socket.create_server(("127.0.0.1", 0))
        bind = f"127.0.0.1:{held.getsockname()[1]}"
    else:
        held = socket.socket(socket.AF_UNIX)
        held.bind(f"{world.root}/held.sock")
        held.listen()
        bind = f"unix:{world.root}/held.sock"
    await world.start(ROUTES)
    with held, pytest.raises(PermanentError) as caught:
        await world.edit(ROUTES, bind=["127.0.0.3:0", bind])
    assert f"cannot listen on {bind}" in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert (await get(world.port, "/")).status == 200


async def test_both_families_at_one_port(world: World) -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this host")
    port = probe.getsockname()[1]
    probe.close()
    await world.start(ROUTES, bind=[f"[::]:{port}", f"0.0.0.0:{port}"])
    assert world.gateway.addresses == [f"[::]:{port}", f"0.0.0.0:{port}"]


async def test_tls_comes_and_goes_and_is_renewed_on_the_same_address(
    world: World, certificate: tuple[Path, Path], other_certificate: tuple[Path, Path]
) -> None:
    cert, key = (Path(world.root, n) for n in ("cert.pem", "key.pem"))
    for ours, theirs in zip((cert, key), certificate, strict=True):
        ours.write_bytes(theirs.read_bytes())
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}}
    await world.start(ROUTES)
    port = world.port
    async with await Client.connect(port) as plain:
        assert (await plain.get("/")).status == 200
        await world.edit(ROUTES, tls=tls)
        assert world.port == port
        first = await _shown(port)
        assert first == _der(certificate[0])
        assert (await plain.get("/")).status == 200, "the plain connection was there before"
        for ours, theirs in zip((cert, key), other_certificate, strict=True):
            ours.write_bytes(theirs.read_bytes())
        await world.gateway.load()
        assert await _shown(port) == _der(other_certificate[0])
        cert.write_bytes(certificate[0].read_bytes())
        with pytest.raises(PermanentError, match="belong together"):
            await world.gateway.load()
        assert await _shown(port) == _der(other_certificate[0])
        await world.edit(ROUTES)
        assert (await get(port, "/")).body == b"here"


async def _shown(port: int) -> bytes:
    """The certificate that a client is shown now."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with await Client.connect(port, context) as client:
        assert (await client.get("/")).body == b"here"
        shown: bytes = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown


def _der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


async def test_a_unix_socket_has_the_mode_that_is_asked_for(world: World) -> None:
    path = f"{world.root}/front.sock"
    await world.start(ROUTES, bind=[f"unix:{path}?mode=0606"])
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o606
    assert world.gateway.addresses == [f"unix:{path}"]

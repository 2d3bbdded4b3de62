"""Clients that show certificates: the handshake lets in whom it should, and the chain hears whose it was."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.gateway.authority import Authority
from tests.gateway.client import Answer, Client
from tests.gateway.world import BOTH, World, route
from vidops.errors import PermanentError
from vidops.gateway.peer import rfc4514

SERVERS = BOTH

RULES = [{"roles": ["operators"]}]
CHAIN = [
    {"type": "client_certificate", "options": {"roles": {"door*": ["operators"]}}},
    {"type": "authorize", "options": {"allow": RULES}},
    {"type": "headers", "options": {"response": {"set": {"X-Who": "{user}", "X-Subject": "{certificate}"}}}},
]
ROUTES = [route("/", "respond", body="anybody"), route("/in", "respond", body="in", chain=CHAIN)]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"), "theirs")


def tls(authority: Authority, folder: Path, **more: Any) -> dict[str, Any]:
    certfile, keyfile = authority.issue(folder, CN="localhost")
    return {"certfile": str(certfile), "keyfile": {"file": str(keyfile)}, "client_ca": str(authority.file), **more}


async def ask(world: World, path: str, context: ssl.SSLContext, headers: str = "") -> Answer:
    async with await Client.connect(world.port, context) as client:
        return await client.get(path, headers=headers)


async def test_only_who_shows_a_good_certificate_gets_in(
    world: World, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    await world.start(ROUTES, tls=tls(ours, tmp_path))
    good = await ask(world, "/", ours.client(ours.issue(tmp_path, CN="door")))
    assert (good.status, good.body) == (200, b"anybody")
    for bad in (None, theirs.issue(tmp_path, CN="door"), ours.issue(tmp_path, CN="door", days=-1)):
        # TLS 1.3: a client learns of the refusal as it reads.
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await ask(world, "/", ours.client(bad))


async def test_the_certificate_says_who_asks(world: World, ours: Authority, tmp_path: Path) -> None:
    await world.start(ROUTES, tls=tls(ours, tmp_path))
    door = ours.client(ours.issue(tmp_path, O="Example, Inc.", CN="door-1"))
    answer = await ask(world, "/in", door, "X-Who: root\r\n")
    assert answer.status == 200
    assert answer.headers["x-who"] == "door-1"
    assert answer.headers["x-subject"] == "CN=door-1,O=Example\\, Inc."
    assert (await ask(world, "/in", ours.client(ours.issue(tmp_path, CN="yard")))).status == 403


async def test_an_optional_certificate_is_asked_for_by_the_chain(
    world: World, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    await world.start(ROUTES, tls=tls(ours, tmp_path, client_auth="optional"))
    assert (await ask(world, "/", ours.client())).status == 200
    refused = await ask(world, "/in", ours.client())
    assert (refused.status, refused.json()["detail"]) == (403, "a client certificate is needed")
    assert (await ask(world, "/in", ours.client(ours.issue(tmp_path, CN="door")))).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        await ask(world, "/", ours.client(theirs.issue(tmp_path, CN="door")))


@pytest.mark.parametrize(
    ("kind", "alternatives", "expected"),
    [
        ("dns", [x509.DNSName("door.example")], (200, "door.example")),
        ("email", [x509.RFC822Name("a@example.org"), x509.DNSName("x.example")], (200, "a@example.org")),
        ("uri", [x509.UniformResourceIdentifier("spiffe://example/door")], (200, "spiffe://example/door")),
        ("subject", [], (200, "CN=door")),
        ("dns", [x509.DNSName("a.example"), x509.DNSName("b.example")], (403, "")),
        ("email", [x509.DNSName("a.example")], (403, "")),
    ],
)
async def test_which_name_counts(
    world: World, ours: Authority, *, kind: str, alternatives: list[Any], expected: tuple[int, str], tmp_path: Path
) -> None:
    chain = [{"type": "client_certificate", "options": {"name": kind}}, CHAIN[2]]
    await world.start([route("/in", "respond", chain=chain)], tls=tls(ours, tmp_path))
    pair = ours.issue(tmp_path, CN="door", alternatives=alternatives)
    answer = await ask(world, "/in", ours.client(pair))
    assert (answer.status, answer.headers.get("x-who", "")) == expected


async def test_another_authority_counts_from_the_next_connection_on(
    world: World, ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(ours.file.read_bytes())
    await world.start(ROUTES, tls={**tls(ours, tmp_path), "client_ca": str(trusted)})
    before, after = (ours.client(one.issue(tmp_path, CN="door")) for one in (ours, theirs))
    assert (await ask(world, "/", before)).status == 200
    trusted.write_bytes(theirs.file.read_bytes())
    await world.gateway.load()
    assert (await ask(world, "/", after)).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        await ask(world, "/", before)
    trusted.write_text("no certificate")
    with pytest.raises(PermanentError, match=r"tls\.client_ca"):
        await world.gateway.load()
    assert (await ask(world, "/", after)).status == 200


async def test_without_tls_nobody_has_a_certificate(world: World) -> None:
    await world.start(ROUTES)
    async with await Client.connect(world.port) as client:
        assert (await client.get("/in", headers="X-Client-Cert: CN=door\r\n")).status == 403


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ((), ""),
        (((("countryName", "CH"),), (("commonName", "a"),)), "CN=a,C=CH"),
        (((("commonName", "a"), ("userId", "7")),), "CN=a+UID=7"),
        (((("commonName", ' #"+,;<>\\'),),), 'CN=\\ #\\"\\+\\,\\;\\<\\>\\\\'),
        (((("commonName", "#a "),),), "CN=\\#a\\ "),
        (((("commonName", " "),),), "CN=\\ "),
        (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
    ],
)
def test_names_as_rfc_4514_writes_them(subject: Any, text: str) -> None:
    assert rfc4514(subject) == text

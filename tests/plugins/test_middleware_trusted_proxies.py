from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import get
from tests.gateway.world import World, route
from vidops_plugins.middleware.trusted_proxies import TrustedProxies, build, said


async def asked(options: dict[str, Any], peer: str, *headers: tuple[str, str], kind: str = "http") -> dict[str, Any]:
    """What the rest of the chain sees."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    scope = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": (peer, 1234) if peer else None,
        "headers": [(n.encode(), v.encode("latin-1")) for n, v in headers],
    }
    await build(TrustedProxies.model_validate(options), None)(app)(scope, None, None)  # type: ignore[arg-type]
    return seen


NETWORKS = {"networks": ["10.0.0.0/8", "::1", "fd00::/8"]}
XFF = "x-forwarded-for"


@pytest.mark.parametrize(
    ("peer", "value", "client"),
    [
        ("10.0.0.2", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.2", "6.6.6.6, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.2", "192.0.2.7, 10.9.9.9", "192.0.2.7"),
        ("10.0.0.2", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("192.0.2.1", "6.6.6.6", "192.0.2.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.2", "192.0.2.7:4711", "192.0.2.7"),
        ("10.0.0.2", "[2001:db8::1]:80", "2001:db8::1"),
        ("10.0.0.2", "unknown", "10.0.0.2"),
        ("10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.2", "6.6.6.6, unknown", "10.0.0.2"),
        ("10.0.0.2", "<script>", "10.0.0.2"),
    ],
)
async def test_who_asks(peer: str, value: str, client: str) -> None:
    seen = await asked(NETWORKS, peer, (XFF, value))
    assert seen["client"][0] == client
    assert (seen.get("vidops.peer") or (None,))[0] == (peer if client != peer else None)


async def test_several_fields_are_one_list() -> None:
    seen = await asked(NETWORKS, "10.0.0.2", (XFF, "6.6.6.6"), (XFF, "192.0.2.7"))
    assert seen["client"][0] == "192.0.2.7"


@pytest.mark.parametrize(
    ("value", "client", "scheme"),
    [
        ("for=192.0.2.7;proto=https", "192.0.2.7", "https"),
        ('For="[2001:db8::1]:4711";PROTO=http', "2001:db8::1", "http"),
        ('for="_hidden", for=192.0.2.7', "192.0.2.7", "http"),
        ('for="192.0.2.7";by="a,b;c";proto=https', "192.0.2.7", "https"),
        ("for=unknown", "10.0.0.2", "http"),
        ('for="192.0.2.7', "10.0.0.2", "http"),
        ("nonsense;;;,,,", "10.0.0.2", "http"),
    ],
)
async def test_forwarded(value: str, client: str, scheme: str) -> None:
    seen = await asked({**NETWORKS, "header": "forwarded"}, "10.0.0.2", ("forwarded", value), (XFF, "6.6.6.6"))
    assert (seen["client"][0], seen["scheme"]) == (client, scheme)


async def test_the_scheme_is_that_of_the_outermost_proxy_of_ours() -> None:
    seen = await asked(NETWORKS, "10.0.0.2", (XFF, "192.0.2.7"), ("x-forwarded-proto", "http, https"))
    assert seen["scheme"] == "https"
    seen = await asked(NETWORKS, "10.0.0.2", (XFF, "192.0.2.7"), ("x-forwarded-proto", "https"), kind="websocket")
    assert seen["scheme"] == "wss"
    seen = await asked(NETWORKS, "10.0.0.2", (XFF, "192.0.2.7"), ("x-forwarded-proto", "gopher"))
    assert seen["scheme"] == "http"


@pytest.mark.parametrize(
    ("name", "value", "protos", "scheme"),
    [
        ("forwarded", "for=192.0.2.7;proto=https, for=10.0.0.1;proto=http", "", "https"),
        ("forwarded", "for=192.0.2.7;proto=http, for=10.0.0.1;proto=https", "", "http"),
        ("forwarded", "for=6.6.6.6;proto=https, for=192.0.2.7;proto=http, for=10.0.0.1;proto=https", "", "http"),
        ("forwarded", "for=192.0.2.7, for=10.0.0.1;proto=https", "", "https"),
        ("forwarded", "for=6.6.6.6;proto=https, for=192.0.2.7", "", "http"),
        ("forwarded", "proto=https", "", "https"),
        (XFF, "192.0.2.7, 10.0.0.1", "https, http", "https"),
        (XFF, "192.0.2.7, 10.0.0.1", "http, https", "http"),
        (XFF, "192.0.2.7, 10.0.0.1", "https", "https"),
        (XFF, "6.6.6.6, 192.0.2.7, 10.0.0.1", "https, http, https", "http"),
        (XFF, "192.0.2.7", "https, http", "http"),
        (XFF, "", "http, https", "https"),
    ],
)
async def test_the_scheme_is_the_chosen_clients(name: str, value: str, protos: str, scheme: str) -> None:
    fields = [(name, value)] if value else []
    seen = await asked({**NETWORKS, "header": name}, "10.0.0.2", *fields, ("x-forwarded-proto", protos))
    assert seen["scheme"] == scheme


@pytest.mark.parametrize(
    ("name", "value", "chain"),
    [
        (XFF, "6.6.6.6, 192.0.2.7, 10.0.0.1", ("192.0.2.7", "10.0.0.1", "10.0.0.2")),
        (XFF, "10.0.0.3, 10.0.0.1", ("10.0.0.3", "10.0.0.1", "10.0.0.2")),
        (XFF, "unknown, 10.0.0.1", None),
        (XFF, "", None),
        ("forwarded", "for=192.0.2.7", ("192.0.2.7", "10.0.0.2")),
    ],
)
async def test_the_chain_begins_with_the_chosen_client(name: str, value: str, chain: tuple[str, ...] | None) -> None:
    other = ("forwarded", "for=10.0.0.9") if name == XFF else (XFF, "10.0.0.9")
    seen = await asked({**NETWORKS, "header": name}, "10.0.0.2", (name, value), other)
    assert seen.get("vidops.chain") == chain


async def test_unix_sockets_are_believed_where_that_is_said() -> None:
    assert (await asked({"unix": True}, "", (XFF, "192.0.2.7")))["client"] == ("192.0.2.7", 0)
    assert (await asked(NETWORKS, "", (XFF, "192.0.2.7")))["client"] is None


@pytest.mark.parametrize("network", ["", "10.0.0.1/8", "host.example", "10.0.0.0/33"])
def test_what_is_no_network(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|address|host bits|netmask"):
        TrustedProxies(networks=[network])


@given(st.lists(st.ip_addresses().map(str), max_size=5), st.ip_addresses())
async def test_nobody_invents_an_address_left_of_ours(inventions: list[str], real: Any) -> None:
    """Whatever a client writes, the address that our proxy saw is taken."""
    seen = await asked({"networks": ["10.0.0.2"]}, "10.0.0.2", (XFF, ", ".join([*inventions, str(real)])))
    if str(real) != "10.0.0.2":
        assert seen["client"][0] == str(real)


@given(st.binary(max_size=200).map(lambda b: b.decode("latin-1").replace("\r", "").replace("\n", "")), st.booleans())
async def test_anything_may_stand_there(value: str, forwarded: bool) -> None:
    name = "forwarded" if forwarded else XFF
    seen = await asked({**NETWORKS, "header": name}, "10.0.0.2", (name, value))
    assert seen["scheme"] in ("http", "https")


def test_long_values_take_linear_time() -> None:
    began = time.monotonic()
    for value in ('"' * 30_000, "for=" * 8_000, "for=a;" * 5_000, '"\\' * 15_000, "," * 30_000):
        said({"headers": [(b"forwarded", value.encode()), (b"x-forwarded-for", value.encode())]}, "forwarded")
    assert time.monotonic() - began < 2


async def test_through_a_gateway(world: World) -> None:
    link = {"type": "trusted_proxies", "options": {"networks": ["127.0.0.1"]}}
    show = {"type": "headers", "options": {"request": {"set": {"x-client": "{client}", "x-scheme": "{scheme}"}}}}
    await world.start([route("/", "echo", chain=[link, show])])
    answer = await get(world.port, "/", headers="X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n")
    assert dict(answer.json()["headers"])["x-client"] == "192.0.2.7"
    assert dict(answer.json()["headers"])["x-scheme"] == "https"

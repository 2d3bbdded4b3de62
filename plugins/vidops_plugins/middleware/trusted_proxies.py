"""Who really asks, where a proxy stands in front: said by `Forwarded` or `X-Forwarded-*`, believed of listed ones.

Addresses are read from the right: each proxy appends whom it was asked by, so what stands left of the first address
that is no proxy of ours may be anybody's invention.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from vidops.api import CHAIN, PEER, ASGIApp, GatewayContext, Options, Receive, Scope, Send, note

MOST = 50
"""Addresses of a chain that are looked at."""
_PAIR = re.compile(r'\s*(for|by|proto|host)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]+)\s*', re.IGNORECASE)


def _network(text: str) -> str:
    ip_network(text)
    return text


Network = Annotated[str, Field(max_length=60), AfterValidator(_network)]


class TrustedProxies(Options):
    """Takes client and scheme from what listed proxies say. Put it first in a chain."""

    networks: Annotated[list[Network], Field(max_length=500)] = Field(default_factory=list)
    """Addresses or networks of the proxies: 192.0.2.2, 192.0.2.0/24, ::1."""
    unix: bool = False
    """Believe whoever comes by a unix socket, too."""
    header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """What they set. The other one is not looked at: a proxy that does not set it passes on what a client wrote."""


def build(options: TrustedProxies, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    trusted = tuple(ip_network(text) for text in options.networks)

    def is_proxy(address: str) -> bool:
        found = parsed(address)
        return found is not None and any(found in network for network in trusted if network.version == found.version)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def believed(scope: Scope, receive: Receive, send: Send) -> None:
            client = scope.get("client")
            peer = client[0] if client else ""
            if (peer and is_proxy(peer)) or (not peer and options.unix):
                hops = said(scope, options.header)
                outside = (i for i in range(len(hops) - 1, -1, -1) if not is_proxy(hops[i].address))
                first = next(outside, 0)
                chain = [hop.address for hop in hops[first:]]
                if chain and parsed(chain[0]) is not None:
                    note(scope, PEER, client or ("", 0))
                    note(scope, CHAIN, (*chain, peer) if peer else tuple(chain))
                    note(scope, "client", (chain[0], 0))
                # Where nobody says how the client asked, those count who stand nearest to it.
                proto = next((hop.proto for hop in hops[first:] if hop.proto), "")
                if proto in ("http", "https"):
                    secure = proto == "https"
                    scope["scheme"] = ("wss" if secure else "ws") if scope["type"] == "websocket" else proto
            await app(scope, receive, send)

        return believed

    return wrap


class Hop(NamedTuple):
    """Who asked a proxy, and by which scheme; empty where that is not said."""

    address: str
    proto: str


def said(scope: Scope, header: str) -> list[Hop]:
    """From the client on; the scheme alone, where nothing else is said."""
    values = {b"forwarded": [], b"x-forwarded-for": [], b"x-forwarded-proto": []}  # type: dict[bytes, list[str]]
    for name, value in scope["headers"]:
        if name in values:
            values[name].append(value.decode("latin-1"))
    if header == "forwarded":
        return forwarded(",".join(values[b"forwarded"]))
    addresses = [bare(a) for a in ",".join(values[b"x-forwarded-for"]).split(",")[-MOST:] if a.strip()]
    protos = [p.strip().lower() for p in ",".join(values[b"x-forwarded-proto"]).split(",")[-MOST:]]
    if not addresses:
        return [Hop("", protos[-1])]
    # Each proxy appends to both lists, or the outermost one alone has said the scheme.
    missing = len(addresses) - len(protos)
    protos = [protos[0]] * missing + protos if missing > 0 else protos[-len(addresses) :]
    return [Hop(address, proto) for address, proto in zip(addresses, protos, strict=True)]


def forwarded(value: str) -> list[Hop]:
    """`said`, of `Forwarded` (RFC 7239)."""
    hops = []
    for element in split_quoted(value, ",")[-MOST:]:
        pairs = {}
        for piece in split_quoted(element, ";"):
            found = _PAIR.fullmatch(piece)
            if found:
                text = found[2]
                pairs[found[1].lower()] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
        hops.append(Hop(bare(pairs.get("for", "")), pairs.get("proto", "").lower()))
    named = [hop for hop in hops if hop.address]
    return named or hops[-1:]


def split_quoted(text: str, separator: str) -> list[str]:
    """Split where the separator is outside of quotes; linear."""
    parts, start, quoted, escaped = [], 0, False, False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def bare(address: str) -> str:
    """Without port, brackets and zone."""
    address = address.strip()
    if address.startswith("["):
        return address[1:].partition("]")[0].partition("%")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address.partition("%")[0]


def parsed(address: str) -> IPv4Address | IPv6Address | None:
    """None for what is no address ("unknown", "_hidden"). IPv4 within IPv6 is IPv4."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found

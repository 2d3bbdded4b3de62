"""Small answers for ASGI applications: problems (RFC 9457), JSON, plain bodies; and the fast way out for streams."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Protocol
from urllib.parse import parse_qsl

from vidops.resources.catalogue import Receive, Scope, Send
from vidops.resources.identity import ACTIONS, Action, Grant, Tenant, User

Headers = list[tuple[bytes, bytes]]

DIRECT = "vidops.direct"
"""Key of `scope["extensions"]` under which a `Direct` is found where the connection allows one."""
INTERIM = "vidops.interim"
"""Key of `scope["extensions"]` where the client can be told something before the answer (RFC 9110, 15.2): send messages
of this type, with `status` (102 to 199) and `headers`, before `http.response.start`."""
PEER = "vidops.peer"
"""Key of the scope: the address that is connected, where `trusted_proxies` believed who that says the client is."""
CHAIN = "vidops.chain"
"""Key of the scope: who asked whom until it came here, the client first, where `trusted_proxies` believed it. What else
a request's fields say of that is anybody's word."""
FIELDS_SET = "vidops.fields_set"
"""Key of the scope: names of the request's fields that the stack file has set, and no client."""
IPV6_PREFIX = 64
"""Bits: what one household or host gets; it has as many addresses as it likes."""
ORIGIN = "vidops.origin"
"""Key of the scope that is true where a middleware has found that the page that asks may: handlers ask no more."""


NOTES = "vidops.notes"
"""Key of the scope: what `note` has noted of the request, one mapping for all copies of its scope."""


SEND = "vidops.send"
"""Key of the notes: `send` as it came to the innermost link that was reached."""


def note(scope: Scope, key: str, value: Any) -> None:
    """Of a request, for what comes after in the chain, and by `noted` for what stands before."""
    scope[key] = value
    scope.setdefault(NOTES, {})[key] = value


def noted(scope: Scope, key: str) -> Any:
    """What any part of the chain has noted so far, or the scope itself has; None without either."""
    notes: Mapping[str, Any] = scope.get(NOTES, {})
    return notes[key] if key in notes else scope.get(key)


class Direct(Protocol):
    """The connection's own transport, for long streams over plain HTTP/1.1.

    Claim it, send `http.response.start` through the chain as usual (middleware adds its headers), and where
    `opened` is true after that, write the body here; nothing more goes through `send`. The response ends with the
    connection. Middleware that changes bodies deletes the extension, and the handler falls back to `send`.
    """

    claimed: bool
    opened: bool
    sent: int
    """Bytes of the body so far."""

    def claim(self) -> None:
        """Ask for the next `http.response.start` to be written by hand, with `Connection: close`."""

    def write(self, data: bytes) -> None:
        """Never blocks: look at `pending` first."""

    @property
    def pending(self) -> int:
        """Bytes written and not yet taken by the kernel."""

    def abort(self) -> None:
        """Drop the connection and what is pending."""


TUNNEL = "vidops.tunnel"
"""Key of `scope["extensions"]` of a WebSocket under which a `Tunnel` is found where the connection allows one."""


class Tunnel(Protocol):
    """A WebSocket as bytes, for whoever stands between two ends that speak for themselves.

    Claim it with the handshake's fields, and send `websocket.accept` through the chain as usual (middleware adds its
    headers); from then on nothing more goes through `send`. Middleware that changes messages deletes the extension.
    """

    def claim(self, headers: Headers) -> None:
        """`headers`: `sec-websocket-accept`, and what extensions and subprotocol the two ends agreed on."""

    async def read(self) -> bytes:
        """What came from the client; nothing at its end."""

    async def write(self, data: bytes) -> None:
        """Returns when the client has room for more."""

    def close(self) -> None:
        """Nobody reads any more. The connection ends with the application."""


def tunnel_of(scope: Scope) -> Tunnel | None:
    found: Tunnel | None = (scope.get("extensions") or {}).get(TUNNEL)
    return found


def direct_of(scope: Scope) -> Direct | None:
    found: Direct | None = (scope.get("extensions") or {}).get(DIRECT)
    return found


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a request header (name in lower case)."""
    found: bytes
    for field, found in scope["headers"]:
        if field == name:
            return found
    return None


CLIENT_CERTIFICATE = "vidops.client_certificate"
"""Key of `scope["extensions"]["tls"]` under which the server puts a client's verified certificate."""


def client_certificate_of(scope: Scope) -> Mapping[str, Any] | None:
    """The certificate that this request's client has shown and TLS has verified; None where there is none.

    As `ssl.SSLSocket.getpeercert` gives it, with `subject_name` (RFC 4514: "CN=door,O=Example").
    """
    found: Mapping[str, Any] | None = ((scope.get("extensions") or {}).get("tls") or {}).get(CLIENT_CERTIFICATE)
    return found


def accepted_codings(scope: Scope, ours: Sequence[str]) -> tuple[str, ...]:
    """Those of our content codings that the client takes, the one that it likes best first; of equals, the first of
    ours (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for item in (header(scope, b"accept-encoding") or b"").decode("latin-1").lower().split(",")[:50]:
        name, _, weight = item.partition(";")
        found = re.fullmatch(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", weight) if weight else None
        if not weight or found:
            weights[name.strip()] = float(found[1]) if found else 1.0
    everything = weights.get("*", 0.0)
    liked = [name for name in ours if weights.get(name, everything) > 0]
    return tuple(sorted(liked, key=lambda name: -weights.get(name, everything)))


async def respond(
    scope: Scope,
    send: Send,
    status: int,
    body: bytes = b"",
    *,
    content_type: str = "text/plain; charset=utf-8",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """One whole response. HEAD gets the same head without the body; a WebSocket handshake is refused with it."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    head: Headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)), *headers]
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        # The one has no length, the other's would be that of what the client has already (RFC 9110, 8.6).
        head = head[2:]
    await send({"type": f"{kind}.start", "status": status, "headers": head})
    await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else body})


async def respond_json(
    scope: Scope, send: Send, data: Any, *, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """`data` as JSON that caches leave alone."""
    fixed = [(b"cache-control", b"no-store"), *headers]
    await respond(scope, send, status, json_bytes(data), content_type="application/json", headers=fixed)


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """What one client has: an address, of IPv6 its /64."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((found, IPV6_PREFIX), strict=False).network_address)
    return str(found)


async def respond_problem(
    scope: Scope,
    send: Send,
    status: int,
    detail: str = "",
    *,
    title: str = "",
    headers: Iterable[tuple[bytes, bytes]] = (),
    **more: Any,
) -> None:
    """`application/problem+json`; `more` are extension members. Nothing of the inside belongs in here."""
    body = json_bytes(problem(status, detail, title=title, **more))
    fixed = [(b"cache-control", b"no-store"), *headers]
    await respond(scope, send, status, body, content_type="application/problem+json", headers=fixed)


async def respond_not_allowed(scope: Scope, send: Send, methods: Sequence[str]) -> None:
    """405, with the methods that are."""
    allow = ", ".join(methods)
    await respond_problem(scope, send, 405, f"this path answers {allow}", headers=[(b"allow", allow.encode())])


def problem(status: int, detail: str = "", *, title: str = "", **more: Any) -> dict[str, Any]:
    """The members of a problem document."""
    document: dict[str, Any] = {"type": "about:blank", "title": title or HTTPStatus(status).phrase, "status": status}
    if detail:
        document["detail"] = detail
    return document | more


def json_bytes(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


async def until_disconnect(receive: Receive) -> None:
    """Return when the client is gone; a body is read and dropped."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names that a mistaken one may have meant."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


def query(scope: Scope) -> Mapping[str, str]:
    """The query's fields, percent-decoded; the last of several of one name. What comes after the first hundred is
    not looked at."""
    text = b"&".join(scope["query_string"].split(b"&", 100)[:100]).decode("latin-1")
    return dict(parse_qsl(text, keep_blank_values=True))


# -- who asks, and what they may ---------------------------------------------------------------------------------

USER = "vidops.user"
TENANT = "vidops.tenant"
GRANTS = "vidops.grants"
"""Keys of the scope: a `User` behind authentication, a `Tenant` behind `tenant`, `Grants` behind `authorize`."""

Grants = Sequence[Sequence[Grant]]
"""One entry of each `authorize` in the chain: every one of them has to grant."""


def user_of(scope: Scope) -> User | None:
    found: User | None = scope.get(USER)
    return found


def tenant_of(scope: Scope) -> Tenant | None:
    found: Tenant | None = scope.get(TENANT)
    return found


def may_do(scope: Scope, action: Action, camera: str) -> bool:
    """Whether this request may do that with the camera; true where no tenant and no `authorize` restricts.

    Handlers answer what may not be done as if there were no such camera: 404, or left out of a list.
    """
    tenant = tenant_of(scope)
    if tenant is not None and not tenant.has(camera):
        return False
    grants: Grants = scope.get(GRANTS, ())
    return all(any(grant.covers(action, camera) for grant in one) for one in grants)


def may_see(scope: Scope, camera: str) -> bool:
    """Whether this request may know that the camera exists: where it may do anything with it."""
    return any(may_do(scope, action, camera) for action in ACTIONS)


def restricted(scope: Scope) -> bool:
    """Whether anything may keep cameras from this request: what is told of the whole host is then not for it."""
    grants: Grants = scope.get(GRANTS, ())
    return TENANT in scope or not all(any(grant.everything for grant in one) for one in grants)

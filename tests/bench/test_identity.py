"""What each link about people adds to a request: CPU of one call, in the process, without sockets."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.gateway.world import World
from tests.plugins.identity.tokens import AUDIENCE, ISSUER, claims, key, public, sign
from vidops.api import TENANT, USER, GatewayContext, Message, Receive, Scope, Send, Tenant, User
from vidops.resources.specs import TenantsSpec
from vidops.runtime.plugins import load_catalogue
from vidops.runtime.secretrefs import secret
from vidops_plugins.middleware.oidc.sealed import Seal
from vidops_plugins.middleware.passwords import hashed

pytestmark = pytest.mark.bench

LIMIT = 60.0
"""Microseconds that a link may add to a request."""
CALLS, ROUNDS = 2000, 5


def scope(**headers: str) -> Scope:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http", "method": "GET", "path": "/stream/door", "raw_path": b"/stream/door", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*"), *fields],
    }  # fmt: skip


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the link."""


async def no_message() -> Message:
    raise AssertionError("nothing is asked for")


async def not_sent(message: Message) -> None:
    raise AssertionError(message)


async def cost(app: Callable[[Scope, Receive, Send], Awaitable[None]], make: Callable[[], Scope]) -> float:
    """Microseconds of CPU a call: the median of rounds."""
    await app(make(), no_message, not_sent)
    rounds = []
    for _ in range(ROUNDS):
        scopes = [make() for _ in range(CALLS)]
        began = time.process_time()
        for one in scopes:
            await app(one, no_message, not_sent)
        rounds.append((time.process_time() - began) / CALLS * 1e6)
    return median(rounds)


def links(root: Path) -> dict[str, tuple[dict[str, Any], Callable[[], Scope]]]:
    def file(name: str, text: str) -> dict[str, str]:
        (root / name).write_text(text)
        return {"file": str(root / name)}

    keys = file("keys", json.dumps({"keys": [public(key("RSA"))]}))
    token = sign(claims(roles=["viewer"], scope="a b c", email="ann@example.com"), "RS256", kid="k1")
    session = {"id": "x", "sub": "ann", "name": "ann", "roles": ["viewer"], "claims": {}, "refresh": "", "check": 0}
    cookie = Seal("s" * 64).close("session", session, 3600)
    user = User("ann", frozenset(["viewer"]), {"tid": "acme"}, "jwt")
    rules = [{"roles": [f"role-{n}"]} for n in range(20)] + [{"roles": ["viewer"], "devices": ["door*"]}]
    password = base64.b64encode(b"ann:correct horse").decode()
    oidc = {
        "issuer": "http://127.0.0.1:1", "url": "http://localhost", "client_id": "x",
        "session_secret": file("session", "s" * 64),
    }  # fmt: skip
    return {
        "jwt": (
            {"issuer": ISSUER, "audience": AUDIENCE, "keys": keys},
            lambda: scope(authorization=f"Bearer {token}"),
        ),
        "basic": (
            {"users": {"ann": {"hash": file("hash", hashed(b"correct horse", b"salt" * 4, ln=14))}}},
            lambda: scope(authorization=f"Basic {password}"),
        ),
        "api_key": (
            {"clients": {f"c{n}": {"keys": [file(f"k{n}", f"key-of-client-number-{n}")]} for n in range(10)}},
            lambda: scope(x_api_key="key-of-client-number-9"),
        ),
        "oidc": (oidc, lambda: scope(cookie=f"a=1; __Host-vidops-session={cookie}")),
        "tenant": ({"from": [{"claim": "tid"}]}, lambda: {**scope(), USER: user}),
        "authorize": ({"allow": rules}, lambda: {**scope(), USER: user, TENANT: Tenant("acme", ("door*",))}),
    }


@pytest.mark.parametrize("name", ["jwt", "basic", "api_key", "oidc", "tenant", "authorize"])
async def test_a_link_costs_little(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    catalogue = load_catalogue()
    options, make = links(tmp_path)[name]
    started: list[Any] = []
    tenants = {"acme": {"members": ["ann"], "devices": ["door*"]}}
    spec = {"directory": TenantsSpec(type="static", options={"tenants": tenants})}
    services = world.gateway._services
    context = GatewayContext(
        gateway="public", route="/**", layout=world.layout, cameras=world.cameras, recordings=world.recordings,
        control=world.control, closing=world.cameras.connected, secret=secret, log=world.log.append,
        tenants=services.directories.of_route(spec, started, []),
    )  # fmt: skip
    kind = catalogue.middleware[name]
    bare = await cost(nothing, make)
    whole = await cost(kind.build(kind.options.model_validate(options), context)(nothing), make)
    await world.close()
    with capsys.disabled():
        print(f"\n{name}: {whole - bare:.1f} µs a request")
    assert whole - bare < LIMIT

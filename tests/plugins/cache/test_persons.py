"""`cache` before what finds out who asks: nothing of a person or a tenant that the key does not know is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gateway import world as gateway
from tests.gateway.client import get
from tests.gateway.world import route
from tests.plugins.cache.origin import Make, World, copying
from tests.plugins.identity.tokens import AUDIENCE, ISSUER, SECRET, claims, key, sign
from vidops.api import ASGIApp, Receive, Scope, Send, Tenant, User
from vidops.asgi import CLIENT_CERTIFICATE, TENANT, USER, note
from vidops_plugins.middleware import client_certificate

CACHE = {"type": "cache", "options": {"ttl": "1h"}}
SAID = {"cache-control": "public, max-age=600"}
API_KEY = "robot-key-0123456789"
TOKEN = sign(claims(), "HS256", key("oct"))


def noting(name: str, value: Any) -> Any:
    def wrap(app: ASGIApp) -> ASGIApp:
        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            note(scope, name, value)
            await app(scope, receive, send)

        return noted

    return wrap


@pytest.fixture
def links(tmp_path: Path) -> dict[str, Any]:
    for name, text in (("key", API_KEY), ("secret", SECRET)):
        (tmp_path / name).write_text(text)
    header = {"from": [{"header": "X-Token"}]}
    secret = {"file": str(tmp_path / "secret")}
    return {
        "api_key": {"keys": [{"file": str(tmp_path / "key")}]},
        "jwt": {"issuer": ISSUER, "audience": AUDIENCE, "secret": secret, **header},
    }


@pytest.mark.parametrize(
    ("kind", "credential"), [("api_key", f"X-API-Key: {API_KEY}\r\n"), ("jwt", f"X-Token: {TOKEN}\r\n")]
)
@pytest.mark.parametrize("between", [[], ["request_id"], [{"type": "headers", "options": {}}, "csp"]])
async def test_what_a_credential_opens_is_not_kept_for_all(
    world: gateway.World, links: dict[str, Any], kind: str, credential: str, between: list[Any]
) -> None:
    chain = [CACHE, *between, {"type": kind, "options": links[kind]}]
    await world.start([route("/**", "respond", chain=chain, body="secret", headers=SAID)])
    answer = await get(world.port, "/a", headers=credential)
    assert (answer.status, answer.body) == (200, b"secret")
    assert "stored" not in answer.headers["cache-status"]
    assert (await get(world.port, "/a")).status == 401


@pytest.mark.parametrize("between", [[], [copying]])
async def test_nor_what_a_certificate_opens(make: Make, between: list[Any]) -> None:
    shown = {"subject": ((("commonName", "door"),),), "subject_name": "CN=door"}
    asks = client_certificate.build(client_certificate.ClientCertificate(), None)  # type: ignore[arg-type]
    world = behind(make(SAID), *between, tls(shown), asks)
    assert (await world.get("/")).body == b"answer 1"
    assert (await world.get("/")).body == b"answer 2"


def tls(shown: dict[str, Any]) -> Any:
    """As the server puts a certificate into the scope."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def with_certificate(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"]["tls"] = {CLIENT_CERTIFICATE: shown}
            await app(scope, receive, send)

        return with_certificate

    return wrap


def behind(world: World, *links: Any) -> World:
    world.behind = links
    world.__post_init__()
    return world


@pytest.mark.parametrize("found", [(USER, User("ann")), (TENANT, Tenant("acme"))])
@pytest.mark.parametrize("between", [[], [copying]])
async def test_what_is_found_out_behind_it_is_in_no_key(make: Make, found: Any, between: list[Any]) -> None:
    world = behind(make(SAID), *between, noting(*found))
    for number in (1, 2):
        assert (await world.get("/")).body == b"answer %d" % number
    assert not list(world.store.keys())


@pytest.mark.parametrize("found", [(USER, User("ann")), (TENANT, Tenant("acme"))])
async def test_what_is_the_same_before_and_behind_it_is_kept(make: Make, found: Any) -> None:
    who = {"user": "ann"} if found[0] == USER else {"tenant": "acme"}
    world = behind(make(SAID), copying, noting(*found))
    await world.get("/", **who)
    assert (await world.get("/", **who)).hit


async def test_what_is_revalidated_for_somebody_is_nobody_elses(make: Make) -> None:
    world = make()
    world.says = lambda asked: (304 if "if-none-match" in asked.headers else 200, {**SAID, "etag": '"1"'}, b"for all")
    await world.get("/")
    world.now += 700
    behind_it: list[Any] = [copying, noting(USER, User("ann"))]
    store, world = world.store, behind(world, *behind_it)
    world.store._variants.update(store._variants)
    assert (await world.get("/")).body == b"for all"
    assert not list(world.store.keys())


async def test_tenants_that_are_chosen_behind_it_are_kept_apart(world: gateway.World) -> None:
    directory = {"tenants": {"acme": {"devices": ["*"]}, "globex": {"devices": ["*"]}}}
    choice = {"type": "tenant", "options": {"from": [{"header": "X-Tenant"}], "members_only": False}}
    routes = route("/**", "respond", chain=[CACHE, "request_id", choice], body="hello", headers=SAID)
    routes["tenants"] = {"directory": {"type": "static", "base_dir": "/", "options": directory}}
    await world.start([routes])
    for tenant in ("acme", "globex", "acme"):
        answer = await get(world.port, "/", headers=f"X-Tenant: {tenant}\r\n")
        assert "fwd=uri-miss" in answer.headers["cache-status"]
        assert "stored" not in answer.headers["cache-status"]
    assert (await get(world.port, "/", headers="X-Tenant: none\r\n")).status == 403

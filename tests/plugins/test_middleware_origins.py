"""`cors`, `csrf` and `websocket_origin`: whose pages may do what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from tests.gateway.ws import Socket
from vidops.api import Scope
from vidops_plugins.middleware.cors import Cors
from vidops_plugins.middleware.csrf import own
from vidops_plugins.middleware.websocket_origin import fits

OURS = "https://app.example"


async def cors(world: World, **options: object) -> None:
    await world.start([route("/", "echo", chain=[{"type": "cors", "options": {"origins": [OURS], **options}}])])


def preflight(origin: str, method: str = "PATCH") -> str:
    return f"Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: x\r\n"


async def test_a_listed_page_may_ask(world: World) -> None:
    await cors(world, credentials=True, expose=["x-total"])
    answer = await get(world.port, "/", headers=f"Origin: {OURS}\r\n")
    assert answer.headers["access-control-allow-origin"] == OURS
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-expose-headers"] == "x-total"
    assert answer.headers["vary"] == "origin"


async def test_a_preflight_is_answered_here(world: World) -> None:
    await cors(world, methods=["GET", "PATCH"], headers=["X-Token"], max_age="5m")
    answer = await get(world.port, "/", method="OPTIONS", headers=preflight(OURS))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == OURS
    assert answer.headers["access-control-allow-methods"] == "GET, PATCH"
    assert answer.headers["access-control-allow-headers"] == "x-token"
    assert answer.headers["access-control-max-age"] == "300"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["http://app.example", "https://app.example.evil", "null", "https://evil.example"])
async def test_others_get_no_leave(world: World, origin: str) -> None:
    await cors(world, credentials=True)
    async with await Client.connect(world.port) as client:
        answer = await client.get("/", headers=f"Origin: {origin}\r\n")
        assert answer.status == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]
        answer = await client.get("/", method="OPTIONS", headers=preflight(origin))
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example", "app.example", "https://app.example/", "HTTPS://APP.example", "null"]
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        Cors(origins=[origin])


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", "Sec-Fetch-Site: cross-site\r\n", 200),
        ("POST", "", 200),
        ("POST", "Sec-Fetch-Site: same-origin\r\n", 200),
        ("POST", "Sec-Fetch-Site: none\r\n", 200),
        ("POST", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("POST", "Sec-Fetch-Site: same-site\r\n", 403),
        ("DELETE", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("POST", "Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example\r\n", 200),
        ("POST", "Origin: https://evil.example\r\n", 403),
        ("POST", "Origin: http://localhost\r\n", 200),
        ("POST", "Origin: https://localhost\r\n", 403),
        ("POST", "Origin: null\r\n", 403),
    ],
)
async def test_changes_come_from_pages_of_ours(world: World, method: str, headers: str, status: int) -> None:
    await world.start([route("/", "echo", chain=[{"type": "csrf", "options": {"origins": [OURS]}}])])
    assert (
        await get(world.port, "/", method=method, headers=headers, body=b"x" if method == "POST" else b"")
    ).status == status


@pytest.mark.parametrize(
    ("origin", "options", "status"),
    [
        (None, {}, 101),
        (None, {"require": True}, 403),
        (OURS, {"origins": [OURS]}, 101),
        (OURS, {}, 403),
        ("https://evil.example", {"origins": [OURS]}, 403),
        ("null", {}, 403),
    ],
)
async def test_handshakes_come_from_pages_of_ours(
    world: World, origin: str | None, options: dict[str, object], status: int
) -> None:
    await world.start([route("/ws", "control", chain=[{"type": "websocket_origin", "options": options}])])
    async with Socket(world.port, "/ws", {"origin": origin} if origin else {}) as socket:
        assert socket.status == status
    own_page = f"http://127.0.0.1:{world.port}"
    async with Socket(world.port, "/ws", {"origin": own_page}) as socket:
        assert socket.status == 101


@given(st.binary(max_size=60), st.binary(max_size=30))
def test_nothing_foreign_fits(origin: bytes, host: bytes) -> None:
    scope: Scope = {"scheme": "http", "headers": [(b"origin", origin), (b"host", host)]}
    found = fits(scope, frozenset(), required=False)
    assert found == own(scope, frozenset())
    if found:
        assert origin.lower() == b"http://" + host.lower()

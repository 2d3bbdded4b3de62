"""A WebSocket handshake where none is served gets an answer, in HTTP, from every handler and through any chain."""

from __future__ import annotations

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import BOTH, World, route
from vidops_plugins.handlers.footage import same_site

SERVERS = BOTH

HANDSHAKE = (
    b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CHAIN = ["access_log", "request_id", "security_headers", {"type": "limits", "options": {"max_concurrent": 5}}]


@pytest.mark.parametrize(
    ("handler", "status"),
    [
        ("stream", 400),
        ("snapshot", 400),
        ("devices", 400),
        ("recordings", 400),
        ("console", 400),
        ("status", 400),
        ("health", 400),
        ("respond", 200),
        ("fail", 500),
    ],
)
async def test_a_handshake_is_answered(world: World, handler: str, status: int) -> None:
    await world.start([route("/x", handler, chain=CHAIN), route("/hi", "respond")])
    async with await Client.connect(world.port) as client:
        client.send(HANDSHAKE)
        answer = await client.answer()
    assert answer.status == status
    assert (await get(world.port, "/hi")).status == 200
    expected = {"request_failed"} if handler == "fail" else set()
    assert {r["event"] for r in world.log if r.get("level") == "error"} == expected, world.log


async def test_a_handshake_needs_a_key_and_a_route_like_any_request(world: World) -> None:
    maintenance = {"type": "maintenance", "options": {}}
    await world.start([route("/x", "respond", chain=[maintenance]), route("/y", "respond")])
    for target, status in ((b"/x", 503), (b"/none", 404)):
        async with await Client.connect(world.port) as client:
            client.send(HANDSHAKE.replace(b"/x ", target + b" "))
            assert (await client.answer()).status == status


def test_a_page_without_an_origin_is_none_of_a_request_without_a_host() -> None:
    assert not same_site({"headers": [(b"origin", b"null")]})
    assert same_site({"headers": [(b"origin", b"https://a"), (b"host", b"a")]})
    assert same_site({"headers": []})

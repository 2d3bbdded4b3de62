"""A token in a WebSocket's subprotocol, as browsers' scripts send it: taken, and neither chosen nor passed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import Client
from tests.gateway.world import World, route
from tests.plugins.identity.tokens import AUDIENCE, ISSUER, claims, key, public, sign
from vidops.api import ASGIApp, GatewayContext, HandlerType, Options, Receive, Scope, Send
from vidops.runtime.plugins import load_catalogue


class Nothing(Options):
    pass


def offered(options: Nothing, context: GatewayContext) -> ASGIApp:
    """Accepts, choosing the first subprotocol, and says what it saw."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        protocols = list(scope["subprotocols"])
        await send({"type": "websocket.accept", "subprotocol": protocols[0] if protocols else None})
        seen = {"protocols": protocols, "headers": str(scope["headers"]), "user": scope["vidops.user"].name}
        await send({"type": "websocket.send", "text": json.dumps(seen)})
        await send({"type": "websocket.close", "code": 1000})

    return app


@pytest.fixture
async def port(tmp_path: Path) -> Any:
    (tmp_path / "keys").write_text(json.dumps({"keys": [public(key("P-256"))]}))
    known = load_catalogue()
    catalogue = type(known).of(
        [*known.middleware.values(), *known.servers.values(), HandlerType("offered", Nothing, offered)]
    )
    world = World(catalogue)
    options = {
        "issuer": ISSUER, "audience": AUDIENCE, "keys": {"file": str(tmp_path / "keys")},
        "from": [{"subprotocol": "bearer."}],
    }  # fmt: skip
    await world.start([route("/ws", "offered", chain=["access_log", {"type": "jwt", "options": options}])])
    yield world.port
    await world.close()


async def shake(port: int, protocols: str) -> tuple[int, dict[str, str], bytes]:
    async with await Client.connect(port) as client:
        client.send(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            + f"Sec-WebSocket-Protocol: {protocols}\r\n\r\n".encode()
        )
        head = await client.head()
        if head.status != 101:
            return head.status, head.headers, b""
        first = await client.reader.readexactly(2)
        size = first[1] if first[1] < 126 else int.from_bytes(await client.reader.readexactly(2), "big")
        return head.status, head.headers, await client.reader.readexactly(size)


async def test_a_token_in_a_subprotocol(port: int) -> None:
    token = sign(claims())
    status, headers, message = await shake(port, f"vidops, bearer.{token}")
    assert status == 101
    assert headers["sec-websocket-protocol"] == "vidops"
    seen = json.loads(message)
    assert (seen["protocols"], seen["user"]) == (["vidops"], "ann")
    assert token not in seen["headers"]


@pytest.mark.parametrize("protocols", ["vidops", "vidops, bearer.", "vidops, bearer.a.b.c", "bearer.x, bearer.y"])
async def test_a_handshake_without_a_good_token_is_refused(port: int, protocols: str) -> None:
    status, headers, _ = await shake(port, protocols)
    assert status in (400, 401)
    assert headers["www-authenticate"].startswith("Bearer")

"""What each link that is not about people adds to a request with a small answer: CPU of one call, without sockets."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.bench.test_identity import CALLS, LIMIT, ROUNDS, no_message, scope
from tests.gateway.world import World
from vidops.api import GatewayContext, Message, Receive, Scope, Send
from vidops.runtime.plugins import load_catalogue
from vidops.runtime.secretrefs import secret

pytestmark = pytest.mark.bench

BODY = b'{"hello": "world"}'
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LINKS: dict[str, dict[str, Any]] = {
    "access_log": {},
    "request_id": {},
    "traceparent": {},
    "metrics": {},
    "security_headers": {},
    "trusted_proxies": {"networks": ["192.0.2.0/24"]},
    "rate_limit": {"limit": 1_000_000, "per": "1s"},
    "headers": {"response": {"set": {"x-site": "berlin"}}},
    "limits": {"max_body": "1MiB", "max_concurrent": 1000, "max_headers": "16KiB"},
    "host_guard": {"max_cpu": "100%", "max_memory": "100%"},
    "cors": {"origins": ["https://app.example"]},
    "csrf": {},
    "compress": {},
    "cache": {},
}


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the link: JSON that may be kept for a minute."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    headers.append((b"cache-control", b"max-age=60"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def taken(message: Message) -> None:
    """The client."""


def whole() -> Scope:
    return {**scope(accept_encoding="gzip"), "scheme": "http", "client": ("192.0.2.1", 5000), "http_version": "1.1",
            "vidops.rest": "door", "extensions": {}}  # fmt: skip


async def cost(app: App) -> float:
    """Microseconds of CPU a call: the median of rounds."""
    await app(whole(), no_message, taken)
    rounds = []
    for _ in range(ROUNDS):
        scopes = [whole() for _ in range(CALLS)]
        began = time.process_time()
        for one in scopes:
            await app(one, no_message, taken)
        rounds.append((time.process_time() - began) / CALLS * 1e6)
    return median(rounds)


def context_of(world: World) -> GatewayContext:
    return GatewayContext(
        gateway="public", route="/**", layout=world.layout, cameras=world.cameras, recordings=world.recordings,
        control=world.control, closing=world.cameras.connected, secret=secret, log=lambda _: None,
    )  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
async def test_a_link_costs_little(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    context = context_of(world)
    kind = load_catalogue().middleware[name]
    bare = await cost(answering)
    app = kind.build(kind.options.model_validate(LINKS[name]), context)(answering)
    for start in context.started:
        await start()
    took = await cost(app)
    for stop in reversed(context.stopped):
        await stop()
    await world.close()
    with capsys.disabled():
        print(f"\n{name}: {took - bare:.1f} µs a request")
    assert took - bare < LIMIT

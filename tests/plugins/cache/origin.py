"""A cache before an application that says what a test says, and a clock that the test turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

from vidops.api import NOTES, TENANT, USER, ASGIApp, Message, Receive, Scope, Send, Tenant, User
from vidops_plugins.middleware.cache import Cache
from vidops_plugins.middleware.cache.exchange import Exchange
from vidops_plugins.middleware.cache.kin import Kin
from vidops_plugins.middleware.cache.store import Store

Fields = dict[str, str]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def hit(self) -> bool:
        return "hit" in self.headers.get("cache-status", "")


@dataclass
class Asked:
    """A request as the application sees it."""

    method: str
    path: str
    headers: Fields
    body: bytes = b""


@dataclass
class World:
    """`says(asked)` gives status, fields and body. `now` is what `time.time` says."""

    says: Callable[[Asked], tuple[int, Fields, bytes]] = lambda _: (200, {}, b"")
    options: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    log: list[Mapping[str, object]] = field(default_factory=list)
    now: float = 1_800_000_000.0
    gate: asyncio.Event | None = None
    kin: Kin = field(default_factory=Kin)
    behind: Sequence[Callable[[ASGIApp], ASGIApp]] = ()
    """Links of the chain between the cache and the application."""

    def __post_init__(self) -> None:
        options = Cache.model_validate(self.options)
        self.store = Store(options.max_size)
        app: ASGIApp = self._app
        for wrap in reversed(self.behind):
            app = wrap(app)
        self.kin.join(self.store)
        self.exchange = Exchange(app, self.store, options, self.log.append, kin=self.kin)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {n.decode(): v.decode() for n, v in scope["headers"]}
        asked = Asked(scope["method"], scope["path"], headers, (await receive())["body"])
        self.asked.append(asked)
        if self.gate is not None:
            await self.gate.wait()
        status, fields, body = self.says(asked)
        fields = {"date": formatdate(self.now, usegmt=True), **fields}
        pairs = [(n.encode(), v.encode()) for n, v in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        half = len(body) // 2
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        await send({"type": "http.response.body", "body": body[half:] if asked.method != "HEAD" else b""})

    async def get(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        user: str = "",
        tenant: str = "",
        scheme: str = "http",
        content: bytes = b"",
        reads: asyncio.Event | None = None,
        **headers: str,
    ) -> Answer:
        """Ask through the cache; `_` in a field's name is a hyphen. `content` is not announced. `reads`: when
        the client takes a body."""
        path, _, query = path.partition("?")
        fields = {"host": "x", **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope: dict[str, Any] = {
            "type": "http", "method": method, "scheme": scheme, "path": unquote(path), "raw_path": path.encode(),
            "query_string": query.encode(), "headers": [(n.encode(), v.encode()) for n, v in fields.items()],
            "extensions": {}, NOTES: {},
        }  # fmt: skip
        if user:
            scope[USER] = User(user)
        if tenant:
            scope[TENANT] = Tenant(tenant)
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)
            if reads is not None and message["type"] == "http.response.body":
                await reads.wait()

        await self.exchange.serve(scope, receive, send)
        start = messages[0]
        head = {n.decode(): v.decode() for n, v in start.get("headers", ())}
        return Answer(start["status"], head, b"".join(m.get("body", b"") for m in messages[1:]))


def copying(app: ASGIApp) -> ASGIApp:
    """A link that hands on a scope of its own."""

    async def copied(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope}, receive, send)

    return copied


def clock(world: World) -> Callable[[], float]:
    return lambda: world.now


def install(monkeypatch: Any, world: World) -> World:
    """Have everybody see the world's time."""
    monkeypatch.setattr(time, "time", clock(world))
    return world


Make = Callable[..., World]
FRESH = {"cache-control": "max-age=60"}


def validated(world: World, version: str) -> None:
    """The application has a version, and answers conditional requests."""

    def says(asked: Asked) -> tuple[int, Fields, bytes]:
        fields = {"cache-control": "max-age=10", "etag": f'"{version}"', "x-seen": str(len(world.asked))}
        if asked.headers.get("if-none-match") == f'"{version}"':
            return 304, fields, b""
        return 200, fields, f"version {version}".encode()

    world.says = says

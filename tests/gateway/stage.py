"""Middleware and handlers of which tests see what happens inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    HandlerType,
    MiddlewareType,
    Options,
    Receive,
    Scope,
    Send,
    respond,
    respond_json,
)
from vidops.resources.catalogue import Catalogue
from vidops.runtime.plugins import load_catalogue


class Named(Options):
    name: str = ""


class Stage:
    """What the types below did, by `name`; `gates` are what `hold` waits for."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.refuse_start: set[str] = set()

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def catalogue(self) -> Catalogue:
        """All real types, and those of the stage."""
        known = load_catalogue()
        handlers = {**known.handlers, **self.handlers()}
        return replace(known, handlers=handlers, middleware={**known.middleware, **self.middleware()})

    def handlers(self) -> dict[str, HandlerType]:
        kinds = [
            HandlerType(name, Named, build)
            for name, build in (("echo", self._echo), ("hold", self._hold), ("fail", self._fail), ("late", self._late))
        ]
        return {kind.name: kind for kind in kinds}

    def middleware(self) -> dict[str, MiddlewareType]:
        return {"mark": MiddlewareType("mark", Named, self._mark)}

    def _life(self, options: Named, context: GatewayContext) -> None:
        async def started() -> None:
            if options.name in self.refuse_start:
                raise RuntimeError("no room on the stage")
            self.events.append(f"start {options.name}")

        async def stopped() -> None:
            self.events.append(f"stop {options.name}")

        context.started.append(started)
        context.stopped.append(stopped)

    def _echo(self, options: Named, context: GatewayContext) -> ASGIApp:
        """Says what it was asked, body included."""
        self._life(options, context)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            body, more = b"", scope["method"] not in ("GET", "HEAD")
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
            headers = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]]
            seen = {"path": scope["path"], "rest": scope["vidops.rest"], "headers": headers, "length": len(body)}
            await respond_json(scope, send, {**seen, "name": options.name, "query": scope["query_string"].decode()})

        return app

    def _hold(self, options: Named, context: GatewayContext) -> ASGIApp:
        """Answers when its gate opens, or has already left service."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self.events.append(f"asked {options.name}")
            try:
                await self.gate(options.name).wait()
            except asyncio.CancelledError:
                self.events.append(f"cancelled {options.name}")
                raise
            await respond(scope, send, 200, options.name.encode())

        return app

    def _fail(self, options: Named, context: GatewayContext) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("the secret inside is 4711")

        return app

    def _late(self, options: Named, context: GatewayContext) -> ASGIApp:
        """Fails when its answer has begun."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            await send({"type": "http.response.body", "body": b"12345", "more_body": True})
            raise RuntimeError("halfway")

        return app

    def _mark(self, options: Named, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
        self._life(options, context)

        def wrap(app: ASGIApp) -> ASGIApp:
            async def marked(scope: Scope, receive: Receive, send: Send) -> None:
                self.events.append(f"> {options.name}")
                await app(scope, receive, send)
                self.events.append(f"< {options.name}")

            return marked

        return wrap


def mark(name: str) -> dict[str, Any]:
    """A link of a chain that notes when it is passed."""
    return {"type": "mark", "options": {"name": name}}

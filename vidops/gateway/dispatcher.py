"""The one ASGI application of a gateway: guards, matches, runs the route's application, answers what goes wrong."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from vidops.asgi import NOTES, SEND, noted, respond_not_allowed, respond_problem
from vidops.errors import TemporaryError
from vidops.gateway import guard
from vidops.gateway.body import BODY, Body
from vidops.gateway.direct import TransportStream
from vidops.gateway.generation import Generation
from vidops.gateway.reply import Reply
from vidops.gateway.route import Route
from vidops.resources.catalogue import Receive, Scope, Send

CLOSE_TIMEOUT = 5.0
"""Seconds that the client of a finished stream has to take what is pending."""


RETRY_AFTER = 5.0
"""Seconds until it is worth asking again, where nobody knows better."""


class Dispatcher:
    """Permanent; `generation` is what changes. `requests` counts all, `streams` those long ones that are open."""

    def __init__(self, generation: Generation, log: Callable[[Mapping[str, Any]], None]) -> None:
        self.generation = generation
        self.requests = 0
        self._leaving = False
        self._log = log
        self._replies: set[Reply] = set()

    @property
    def streams(self) -> int:
        return sum(reply.long for reply in self._replies)

    def leave(self) -> None:
        """End streams, and tell the clients that keep connections, with the next answer on each, to open another."""
        self._leaving = True
        for reply in self._replies:
            reply.closing = True
        for route in self.generation.routes.values():
            route.closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        scope[NOTES] = {}
        http = scope["type"] == "http"
        body = Body(scope, receive) if http else None
        reply = Reply(scope, send, body)
        reply.closing = self._leaving
        self._replies.add(reply)
        try:
            await self._answer(scope, body or receive, reply)
            if body is not None and reply.direct is not None and reply.direct.opened:
                await _close(reply.direct, body)
        finally:
            self._replies.discard(reply)
            # It refers to the scope, which would be here until the garbage collector looks.
            scope[NOTES].pop(SEND, None)

    async def _answer(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        method = scope.get("method", "GET")
        try:
            request = guard.check(scope)
        except guard.Refused as refusal:
            await self._refuse(scope, reply, refusal)
            return
        scope["path"], scope["raw_path"], scope["headers"] = request.path, request.raw_path, request.headers
        match = self.generation.table.find(request.path, method)
        if match.target is not None:
            scope["vidops.rest"] = match.rest
            if isinstance(receive, Body):
                scope[BODY] = receive
            await self._serve(match.target, scope, receive, reply)
        elif match.allowed:
            self._note(scope, 405)
            await respond_not_allowed(scope, reply, match.allowed)
        else:
            self._note(scope, 404)
            await respond_problem(scope, reply, 404, "no route leads here")

    async def _serve(self, route: Route, scope: Scope, receive: Receive, reply: Reply) -> None:
        task = asyncio.current_task()
        assert task is not None
        route.active.add(task)
        try:
            await route.app(scope, receive, reply)
        except guard.Refused as refusal:
            await self._refuse(scope, reply, refusal)
        except asyncio.CancelledError:
            # Either the client left, or the route's time is up: the server's own end is no cancellation.
            if route.cut and not reply.started:
                await self._instead(scope, reply, 503, "this route has just left service", reason="Retired")
        except TemporaryError as error:
            if not reply.started:
                await self._instead(scope, reply, 503, str(error), wait=error.delay, reason=error.reason)
        except Exception as error:  # noqa: BLE001 - the last place that can tell the client and the log
            await self._failed(route, scope, reply, error)
        finally:
            route.active.discard(task)

    async def _refuse(self, scope: Scope, reply: Reply, refusal: guard.Refused) -> None:
        """Answer and close: what follows on such a connection may not be what it seems."""
        self._note(scope, refusal.status, refusal.detail)
        if not reply.started:
            reply.closing = True
            await self._instead(scope, reply, refusal.status, refusal.detail)

    async def _failed(self, route: Route, scope: Scope, reply: Reply, error: Exception) -> None:
        number = secrets.token_hex(8)
        self._log(
            {
                "level": "error",
                "event": "request_failed",
                "error_id": number,
                "route": route.pattern.text,
                "path": scope["path"],
                "request_id": noted(scope, "vidops.request_id"),
                "error": repr(error),
                "traceback": "".join(traceback.format_exception(error)),
            }
        )
        if not reply.started:
            await self._instead(scope, reply, 500, "the log has the reason under this id", error_id=number)

    async def _instead(
        self, scope: Scope, reply: Reply, status: int, detail: str, *, wait: float | None = None, **more: str
    ) -> None:
        """Answer in a chain's stead, by way of what it adds to answers."""
        reply.unclaim()
        headers = [(b"retry-after", b"%d" % max(1, round(wait or RETRY_AFTER)))] if status == 503 else []
        await respond_problem(scope, scope[NOTES].get(SEND, reply), status, detail, headers=headers, **more)

    def _note(self, scope: Scope, status: int, detail: str = "") -> None:
        """No chain saw this request, so no access log did."""
        client = (scope.get("client") or ("",))[0]
        record = {"event": "refused", "status": status, "method": scope.get("method", "GET"), "client": client}
        path = bytes(scope.get("raw_path") or b"")[:200].decode("latin-1")
        self._log({"level": "info", **record, "path": path, "detail": detail})


async def _close(direct: TransportStream, body: Body) -> None:
    """End a response that was written to the transport, and wait until the connection is gone: Hypercorn knows
    nothing of that response and would still send one of its own."""
    direct.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            while not body.gone:
                await body()
    except TimeoutError:
        direct.abort()
    if direct.pending:
        # It has said all it will, and does not read: what is left may go out, but not for ever.
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, direct.abort)

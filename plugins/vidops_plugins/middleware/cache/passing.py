"""One answer on its way through, and into the store where it may go there."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from vidops.api import ASGIApp, Message, Receive, Scope, Send
from vidops_plugins.middleware.cache import rules
from vidops_plugins.middleware.cache.answer import NAME, respond
from vidops_plugins.middleware.cache.asked import CONDITIONS, Asked, no_body, targeted_by
from vidops_plugins.middleware.cache.crowd import Turn
from vidops_plugins.middleware.cache.fields import Fields, first, number, varied
from vidops_plugins.middleware.cache.rules import Stored
from vidops_plugins.middleware.cache.store import Store

if TYPE_CHECKING:
    from vidops_plugins.middleware.cache import Cache

UNKEPT = (b"age", b"content-length", b"cache-status", b"trailer")
"""What each answer has of its own, or not at all."""
PATIENCE = 0.1
"""Seconds for which others wait for somebody who reads slowly."""


class Passing:
    """`app` is asked; what comes goes on to `send`. `turn` is told once it is known whether it is kept."""

    def __init__(
        self,
        store: Store,
        options: Cache,
        asked: Asked,
        scope: Scope,
        send: Send,
        *,
        choice: rules.Choice,
        turn: Turn,
    ) -> None:
        self._store = store
        self._options = options
        self._targeted = targeted_by(options)
        self._scope = scope
        self._send = send
        self._choice = choice
        self._turn = turn
        self._patience = PATIENCE
        self._asked = asked
        self._key = asked.key
        self._request: Fields = asked.fields
        self._kept: tuple[Fields, float] | None = None
        self._status = 0
        self._body: list[bytes] | None = None
        self._size = 0
        self._most = 0
        """Bytes that are kept."""
        self._begun = time.time()
        self._has_body = False
        """The request has one that was not announced, and was read."""
        self._in_place = False
        """Something stored was sent in the place of the answer."""
        self._anew = False
        """The answer said that something else than what is stored has not changed: the whole is asked for."""

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        stored = self._choice.check
        scope = self._scope
        fields = [(n, v) for n, v in self._request if n not in CONDITIONS]
        if stored is not None:
            scope = {**scope, "headers": [*fields, *rules.conditions(stored)], "method": "GET"}
        try:
            await app(scope, self._hearing(receive), self._answer)
        except Exception:
            if self._status or not await self._stale_instead():
                raise
        if self._anew:
            self._anew, self._choice = False, rules.Choice()
            await app({**scope, "headers": fields}, no_body(), self._answer)

    def _hearing(self, receive: Receive) -> Receive:
        """Over HTTP/2 and 3 a body need not be announced."""

        async def hear() -> Message:
            message = await receive()
            self._has_body = self._has_body or bool(message.get("body"))
            return message

        return hear

    async def _answer(self, message: Message) -> None:
        if self._in_place or self._anew:
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        if message["type"] == "http.response.body":
            self._collect(message)
            await self._pass_on(message)
        else:
            await self._send(message)

    async def _pass_on(self, message: Message) -> None:
        """Those who wait for the end of it need not wait for a client that is slow to take it."""
        if self._body is None:
            await self._send(message)
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        timer = loop.call_later(self._patience, self._turn.over)
        try:
            await self._send(message)
        finally:
            timer.cancel()
            self._patience -= loop.time() - begun

    def _decided(self, kept: bool) -> None:
        if kept or not self._has_body:
            self._turn.decided(kept)
        else:
            self._turn.over()

    async def _begin(self, message: Message) -> None:
        status = int(message["status"])
        fields = [(bytes(n).lower(), bytes(v)) for n, v in message.get("headers", ())]
        stored = self._choice.check
        now = time.time()
        if stored is not None and status == 304:
            made = rules.freshened(stored, self._asked.url, fields)
            if made is not None:
                found = self._storable(stored.status, made)
                fresh = self._stored(stored.status, made, stored.body, found[1] if found else 0.0, now)
                if found is not None:
                    self._store.put(self._key, fresh, self._request)
                else:
                    self._store.drop(self._key)
                self._decided(found is not None)
                await self._instead(fresh, b"fwd=stale; fwd-status=304")
                return
            self._store.drop(self._key)
            self._anew = True
            return
        if stored is not None and status >= 500 and await self._stale_instead(status):
            return
        self._status = status
        if self._scope["method"] == "GET":
            self._kept = self._storable(status, fields)
            if self._kept is not None and not self._fits(status, fields, self._kept):
                self._kept = None
            self._body = [] if self._kept is not None else None
        if self._kept is None:
            self._decided(False)
        if stored is not None and status < 500 and self._kept is None:
            self._store.drop(self._key)
        why = b"fwd=stale" if stored is not None else b"fwd=uri-miss"
        note = b"; ".join((NAME, why, b"fwd-status=%d" % status, *([b"stored"] if self._kept else [])))
        headers = [*message.get("headers", ()), (b"cache-status", note)]
        await self._pass_on({**message, "headers": headers})

    def _storable(self, status: int, fields: Fields) -> tuple[Fields, float] | None:
        if self._has_body or not self._asked.still(self._scope):
            return None
        return rules.storable(
            self._request, self._asked.url, status, fields,
            authorized=self._asked.personal, ttl=self._options.ttl, targeted=self._targeted,
        )  # fmt: skip

    def _fits(self, status: int, fields: Fields, kept: tuple[Fields, float]) -> bool:
        """Whether there may be room for it: larger ones than `max_object`, or than all that is kept, pass through."""
        room = self._store.room(self._key, self._stored(status, kept[0], b"", kept[1], self._begun))
        self._most = min(self._options.max_object, room)
        return (number(first(fields, b"content-length")) or 0) <= self._most

    def _collect(self, message: Message) -> None:
        if self._body is None:
            return
        self._size += len(message.get("body", b""))
        if self._size > self._most:
            self._body = None
            if self._choice.check is not None:
                self._store.drop(self._key)
            self._decided(False)
            return
        self._body.append(message.get("body", b""))
        if not message.get("more_body", False) and self._kept is not None and not self._has_body:
            fields, lifetime = self._kept
            stored = self._stored(self._status, fields, b"".join(self._body), lifetime, time.time())
            self._store.put(self._key, stored, self._request)
            self._decided(True)

    def _stored(self, status: int, fields: Fields, body: bytes, lifetime: float, now: float) -> Stored:
        age = rules.initial_age(fields, now - self._begun, now)
        kept = [(n, v) for n, v in fields if n not in UNKEPT]
        return Stored(status, kept, body, varied(fields, self._request) or {}, now, age, lifetime)

    async def _stale_instead(self, status: int = 0) -> bool:
        """Send what is stored where the upstream failed and that is allowed (RFC 5861, 4)."""
        stored = self._choice.check
        if stored is None or not self._choice.if_error:
            return False
        await self._instead(stored, b"fwd=stale" + (b"; fwd-status=%d" % status if status else b""))
        return True

    async def _instead(self, stored: Stored, why: bytes) -> None:
        self._in_place = True
        await respond(self._scope, self._send, stored, why)

"""A request between its client, what is stored, and what comes after in the chain.

Bodies go through as they come; what may be stored is collected on the way. Requests for what is on its way already wait
for it. What is refreshed in the background is asked for without a client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from vidops.api import NOTES, USER, ASGIApp, Message, Receive, Scope, Send, header, noted, respond_problem, tenant_of
from vidops_plugins.middleware.cache import ranges, rules
from vidops_plugins.middleware.cache.disk import Key
from vidops_plugins.middleware.cache.fields import Fields, directives, not_modified, varied
from vidops_plugins.middleware.cache.rules import Stored
from vidops_plugins.middleware.cache.store import Store

if TYPE_CHECKING:
    from vidops_plugins.middleware.cache import Cache

NAME = b"vidops"
CONDITIONS = (b"if-none-match", b"if-modified-since")
OTHER_CONDITIONS = (b"if-match", b"if-unmodified-since")
"""What is asked with these passes through: it is about the upstream's own state."""
UNKEPT = (b"age", b"content-length", b"cache-status", b"trailer")
"""What each answer has of its own, or not at all."""
REFRESH_TIMEOUT = 30.0


class Exchange:
    """One route's cache. `app`: what comes after; `log` takes records of what nobody waits for."""

    def __init__(self, app: ASGIApp, store: Store, options: Cache, log: Callable[[Mapping[str, object]], None]) -> None:
        self._app = app
        self._log = log
        self._store = store
        self._options = options
        self._targeted = targeted_by(options)
        self._under_way: dict[Key, asyncio.Event] = {}
        self._refreshing: dict[Key, asyncio.Task[None]] = {}

    async def close(self) -> None:
        for task in self._refreshing.values():
            task.cancel()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, fields = scope["method"], scope["headers"]
        if method not in rules.SAFE:
            await self._app(scope, receive, self._invalidating(scope, send))
            return
        if method not in ("GET", "HEAD") or any(name in OTHER_CONDITIONS for name, _ in fields):
            await self._app(scope, receive, send)
            return
        key, url = key_of(scope), url_of(scope)
        await self._store.recall(key)
        choice = rules.choose(fields, url, self._store.of(key), time.time(), self._targeted)
        ranged = any(name == b"range" for name, _ in fields)
        if choice.use is None and choice.check is None and not ranged and await self._waited(key):
            choice = rules.choose(fields, url, self._store.of(key), time.time(), self._targeted)
        ready = choice.check if choice.meanwhile else choice.use
        if ready is not None and (method == "HEAD" or not ranged or answerable(fields, ready)):
            if choice.meanwhile:
                self._refresh(scope, key, ready)
            await respond(scope, send, ready, b"hit")
        elif ranged and "only-if-cached" not in directives(fields):
            # A part of what is not here, or not fresh: the upstream's, and nothing of it is kept.
            await self._app(scope, receive, send)
        elif "only-if-cached" in directives(fields):
            await respond_problem(scope, send, 504, "nothing is stored that may be sent", reason="NotCached")
        elif method == "HEAD":
            await self._app(scope, receive, send)
        else:
            await self._ask(scope, receive, send, key, choice)

    async def _waited(self, key: Key) -> bool:
        """Wait for the same that is on its way; whether there was any."""
        event = self._under_way.get(key)
        if event is None:
            return False
        try:
            async with asyncio.timeout(self._options.collapse):
                await event.wait()
        except TimeoutError:
            return False
        return True

    async def _ask(self, scope: Scope, receive: Receive, send: Send, key: Key, choice: rules.Choice) -> None:
        """Ask what comes after, keep what may be kept, and answer. Others wait until it is known that it is kept."""
        if key in self._under_way:
            await _Passing(self._store, self._options, scope, send, choice).run(self._app, receive)
            return
        event = self._under_way[key] = asyncio.Event()
        try:
            passing = _Passing(self._store, self._options, scope, send, choice, decided=event.set)
            await passing.run(self._app, receive)
        finally:
            del self._under_way[key]
            event.set()

    def _refresh(self, scope: Scope, key: Key, stored: Stored) -> None:
        """Revalidate in the background, once at a time."""
        if key in self._refreshing:
            return

        async def nobody(message: Message) -> None:
            """Nobody waits for the answer."""

        async def refresh() -> None:
            # It is the whole that is asked for, whatever the client has of it or wants.
            left = (*CONDITIONS, b"range", b"if-range")
            inner = {**scope, "headers": [(n, v) for n, v in scope["headers"] if n not in left], "method": "GET"}
            # What is the client's connection's own is not this one's.
            inner["extensions"], inner[NOTES] = {}, {}
            asking = self._ask(inner, no_body(), nobody, key, rules.Choice(check=stored))
            try:
                async with asyncio.timeout(REFRESH_TIMEOUT):
                    await asking
            except Exception as error:  # noqa: BLE001 - what is stored stays, and the next request asks again
                self._log({"level": "warning", "event": "refresh_failed", "path": scope["path"], "error": repr(error)})
            finally:
                self._refreshing.pop(key, None)

        self._refreshing[key] = asyncio.create_task(refresh(), name="refresh an answer")

    def _invalidating(self, scope: Scope, send: Send) -> Send:
        """What was changed is not stored any more (RFC 9111, 4.4)."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 400:
                own = key_of(scope)
                self._store.drop(own)
                base = url_of(scope)
                for name, value in message.get("headers", ()):
                    if name.lower() in (b"location", b"content-location"):
                        other = urlsplit(urljoin(base, value.decode("latin-1")))
                        if other.netloc == urlsplit(base).netloc:
                            self._store.drop((*own[:-2], other.path, other.query))
            await send(message)

        return answer


class _Passing:
    """One answer on its way through, and into the store where it may go there."""

    def __init__(
        self,
        store: Store,
        options: Cache,
        scope: Scope,
        send: Send,
        choice: rules.Choice,
        *,
        decided: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._options = options
        self._targeted = targeted_by(options)
        self._scope = scope
        self._send = send
        self._choice = choice
        self._decided = decided
        self._key = key_of(scope)
        self._request: Fields = scope["headers"]
        self._kept: tuple[Fields, float] | None = None
        self._status = 0
        self._body: list[bytes] | None = None
        self._size = 0
        self._begun = time.time()
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
            await app(scope, receive, self._answer)
        except Exception:
            if self._status or not await self._stale_instead():
                raise
        if self._anew:
            self._anew, self._choice = False, rules.Choice()
            await app({**scope, "headers": fields}, no_body(), self._answer)

    async def _answer(self, message: Message) -> None:
        if self._in_place or self._anew:
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        if message["type"] == "http.response.body":
            self._collect(message)
        await self._send(message)

    async def _begin(self, message: Message) -> None:
        status = int(message["status"])
        fields = [(bytes(n).lower(), bytes(v)) for n, v in message.get("headers", ())]
        stored = self._choice.check
        now = time.time()
        if stored is not None and status == 304:
            made = rules.freshened(stored, url_of(self._scope), fields)
            if made is not None:
                found = self._storable(stored.status, made)
                fresh = self._stored(stored.status, made, stored.body, found[1] if found else 0.0, now)
                if found is not None:
                    self._store.put(self._key, fresh, self._request)
                else:
                    self._store.drop(self._key)
                self._decided()
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
            self._body = [] if self._kept is not None else None
        if self._kept is None:
            self._decided()
        if stored is not None and status < 500 and self._kept is None:
            self._store.drop(self._key)
        why = b"fwd=stale" if stored is not None else b"fwd=uri-miss"
        note = b"; ".join((NAME, why, b"fwd-status=%d" % status, *([b"stored"] if self._kept else [])))
        headers = [*message.get("headers", ()), (b"cache-status", note)]
        await self._send({**message, "headers": headers})

    def _storable(self, status: int, fields: Fields) -> tuple[Fields, float] | None:
        return rules.storable(
            self._request, url_of(self._scope), status, fields,
            authorized=authorized(self._scope), ttl=self._options.ttl, targeted=self._targeted,
        )  # fmt: skip

    def _collect(self, message: Message) -> None:
        if self._body is None:
            return
        self._size += len(message.get("body", b""))
        if self._size > self._options.max_object:
            self._body = None
            self._decided()
            return
        self._body.append(message.get("body", b""))
        if not message.get("more_body", False) and self._kept is not None:
            fields, lifetime = self._kept
            stored = self._stored(self._status, fields, b"".join(self._body), lifetime, time.time())
            self._store.put(self._key, stored, self._request)
            self._decided()

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


async def respond(scope: Scope, send: Send, stored: Stored, why: bytes) -> None:
    """Send what is stored, or that the client has it already."""
    now = time.time()
    age = int(stored.age(now))
    note = b"; ".join((NAME, why, b"ttl=%d" % int(stored.lifetime - stored.age(now))))
    fields: list[tuple[bytes, bytes]] = [*stored.fields, (b"age", b"%d" % age), (b"cache-status", note)]
    if stored.status == 200 and not_modified(scope["headers"], stored.fields):
        # RFC 9110, 15.4.5: what a cache needs, and nothing of the content.
        left = (b"content-type", b"content-encoding", b"content-language", b"last-modified")
        await send({"type": "http.response.start", "status": 304, "headers": [f for f in fields if f[0] not in left]})
        await send({"type": "http.response.body", "body": b""})
        return
    status, body = stored.status, stored.body
    part = wanted(scope, stored)
    if part is not None:
        status, body = 206, body[part[0] : part[1] + 1]
        fields.append((b"content-range", b"bytes %d-%d/%d" % (*part, len(stored.body))))
    if status != 204:
        fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def wanted(scope: Scope, stored: Stored) -> tuple[int, int] | None:
    """The part of what is stored that is to be sent in the place of all of it."""
    if stored.status != 200 or scope["method"] != "GET" or ranges.whole(scope["headers"], stored.fields):
        return None
    return ranges.part(scope["headers"], len(stored.body))


def answerable(request: Fields, stored: Stored) -> bool:
    """Whether a request with `Range` has its answer in what is stored, without the upstream."""
    known = ranges.whole(request, stored.fields) or ranges.part(request, len(stored.body)) is not None
    return stored.status == 200 and (known or not_modified(request, stored.fields))


def key_of(scope: Scope) -> Key:
    """What an answer belongs to: the tenant, the host that was asked, the path and the query."""
    tenant = tenant_of(scope)
    host = (header(scope, b"host") or b"").decode("latin-1").lower()
    # As it was written: what is decoded alike need not be one thing to an upstream.
    path, query = (scope[name].decode("latin-1") for name in ("raw_path", "query_string"))
    return (tenant.name if tenant is not None else "", host, path, query)


def url_of(scope: Scope) -> str:
    _, host, path, query = key_of(scope)
    return f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else "")


def authorized(scope: Scope) -> bool:
    """Whether an answer may be of one person alone: who asks was found out, or can be by a cookie."""
    fields = ("authorization", "cookie")
    return noted(scope, USER) is not None or any(header(scope, name.encode()) is not None for name in fields)


def targeted_by(options: Cache) -> tuple[bytes, ...]:
    """The names of the fields that say the rules before Cache-Control does, as they are in a header."""
    return tuple(name.lower().encode() for name in options.targeted)


def no_body() -> Receive:
    """What a client without a body sends, and stays."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive

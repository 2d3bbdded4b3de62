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

from vidops.api import NOTES, ASGIApp, Message, Receive, Scope, Send, respond_problem
from vidops_plugins.middleware.cache import rules
from vidops_plugins.middleware.cache.answer import answerable, respond
from vidops_plugins.middleware.cache.asked import CONDITIONS, Asked, no_body, targeted_by, tenant_in
from vidops_plugins.middleware.cache.crowd import Crowd
from vidops_plugins.middleware.cache.disk import Key
from vidops_plugins.middleware.cache.fields import directives
from vidops_plugins.middleware.cache.kin import Kin
from vidops_plugins.middleware.cache.passing import Passing
from vidops_plugins.middleware.cache.rules import Stored
from vidops_plugins.middleware.cache.store import Store

if TYPE_CHECKING:
    from vidops_plugins.middleware.cache import Cache

OTHER_CONDITIONS = (b"if-match", b"if-unmodified-since")
"""What is asked with these passes through: it is about the upstream's own state."""
REFRESH_TIMEOUT = 30.0


class Exchange:
    """One route's cache. `app`: what comes after; `log` takes records of what nobody waits for. `kin`: what all routes
    have stored."""

    def __init__(
        self, app: ASGIApp, store: Store, options: Cache, log: Callable[[Mapping[str, object]], None], *, kin: Kin
    ) -> None:
        self._app = app
        self._kin = kin
        self._log = log
        self._store = store
        self._options = options
        self._targeted = targeted_by(options)
        self._crowd = Crowd(options.collapse)
        self._refreshing: dict[Key, asyncio.Task[None]] = {}

    async def close(self) -> None:
        for task in self._refreshing.values():
            task.cancel()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, fields = scope["method"], scope["headers"]
        asked = Asked.of(scope)
        if method not in rules.SAFE:
            await self._app(scope, receive, self._invalidating(asked, scope, send))
            return
        if method not in ("GET", "HEAD") or asked.passes or any(name in OTHER_CONDITIONS for name, _ in fields):
            await self._app(scope, receive, send)
            return
        key, url = asked.key, asked.url
        await self._store.recall(key)
        choice = rules.choose(fields, url, self._store.of(key), time.time(), self._targeted)
        ranged = any(name == b"range" for name, _ in fields)
        # What others are told is not for who has a name, most likely: they do not wait for it.
        alone = ranged or asked.personal
        if choice.use is None and choice.check is None and not alone and await self._crowd.wait(key):
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
            await self._ask(asked, scope, receive, send, choice)

    async def _ask(self, asked: Asked, scope: Scope, receive: Receive, send: Send, choice: rules.Choice) -> None:
        """Ask what comes after, keep what may be kept, and answer. Others wait until it is known that it is kept."""
        leads = not asked.personal
        with self._crowd.turn(asked.key, ordinary=asked.ordinary, leads=leads) as turn:
            passing = Passing(self._store, self._options, asked, scope, send, choice=choice, turn=turn)
            await passing.run(self._app, receive)

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
            asking = self._ask(Asked.of(inner), inner, no_body(), nobody, rules.Choice(check=stored))
            try:
                async with asyncio.timeout(REFRESH_TIMEOUT):
                    await asking
            except Exception as error:  # noqa: BLE001 - what is stored stays, and the next request asks again
                self._log({"level": "warning", "event": "refresh_failed", "path": scope["path"], "error": repr(error)})
            finally:
                self._refreshing.pop(key, None)

        self._refreshing[key] = asyncio.create_task(refresh(), name="refresh an answer")

    def _invalidating(self, asked: Asked, scope: Scope, send: Send) -> Send:
        """What was changed is not stored any more (RFC 9111, 4.4), for any route: others may answer GET for it."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 400:
                changed = {asked.key[1:]}
                for name, value in message.get("headers", ()):
                    if name.lower() in (b"location", b"content-location"):
                        other = urlsplit(urljoin(asked.url, value.decode("latin-1")))
                        if (other.scheme, other.netloc) == asked.key[1:3]:
                            changed.add((*asked.key[1:3], other.path, other.query))
                # A route that has no tenants may show what one that has them changes.
                for tenant in {"", asked.key[0], tenant_in(scope)}:
                    for url in changed:
                        self._kin.drop((tenant, *url))
            await send(message)

        return answer

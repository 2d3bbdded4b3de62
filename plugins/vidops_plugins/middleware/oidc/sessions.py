"""What a process remembers of sessions: which have ended, and which are being asked after.

All routes with the same login share it, and it outlives them: a browser has one cookie for all of a host, so what ends
at one route has ended at the others, and after an edit of theirs; and a refresh token is good for one use, whichever
routes are asked at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

Session = dict[str, Any]
MAX_ENDED = 10_000
MAX_UNUSED = 8
"""Logins that are remembered while no route has them."""


class Sessions:
    """Of one login: one registration at a provider, with one secret for its cookies."""

    def __init__(self) -> None:
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._refreshing: OrderedDict[str, asyncio.Task[Session | None]] = OrderedDict()
        self._said: set[str] = set()

    def has_ended(self, session: Mapping[str, Any]) -> bool:
        return session["id"] in self._ended

    def end(self, session: Mapping[str, Any]) -> None:
        now = time.time()
        self._ended[session["id"]] = session["until"]
        while self._ended and (len(self._ended) > MAX_ENDED or next(iter(self._ended.values())) < now):
            self._ended.popitem(last=False)

    async def renewed(
        self, session: Mapping[str, Any], refresh: Callable[[], Coroutine[Any, Any, Session | None]]
    ) -> Session | None:
        """What `refresh` gives, called once for all requests that come with the same refresh token, also for those that
        come a bit later."""
        key = session["refresh"]
        task = self._refreshing.get(key)
        if task is None:
            task = self._refreshing[key] = asyncio.get_running_loop().create_task(refresh(), name="oidc refresh")
            task.add_done_callback(lambda done: self._refreshed(key, done))
            while len(self._refreshing) > MAX_ENDED:
                self._refreshing.popitem(last=False)
        return await asyncio.shield(task)

    def _refreshed(self, key: str, task: asyncio.Task[Session | None]) -> None:
        failed = task.cancelled() or task.exception() is not None
        delay = 1.0 if failed else 30.0
        asyncio.get_running_loop().call_later(delay, self._refreshing.pop, key, None)

    def first(self, what: str) -> bool:
        """Whether this is said for the first time."""
        if what in self._said:
            return False
        self._said.add(what)
        return True


class Logins:
    """Of one event loop. Those that routes have are found; of others, the last few."""

    def __init__(self) -> None:
        self._used: WeakValueDictionary[bytes, Sessions] = WeakValueDictionary()
        self._last: OrderedDict[bytes, Sessions] = OrderedDict()

    def find(self, key: bytes) -> Sessions:
        found = self._used.get(key)
        if found is None:
            found = self._used[key] = Sessions()
        self._last[key] = found
        self._last.move_to_end(key)
        if len(self._last) > MAX_UNUSED:
            self._last.popitem(last=False)
        return found


_logins: WeakKeyDictionary[asyncio.AbstractEventLoop, Logins] = WeakKeyDictionary()


def sessions_of(issuer: str, client_id: str, secret: str) -> Sessions:
    """Those of a login; of its secret, a digest is kept."""
    key = hashlib.sha256(json.dumps([issuer, client_id, secret]).encode()).digest()
    return _logins.setdefault(asyncio.get_running_loop(), Logins()).find(key)

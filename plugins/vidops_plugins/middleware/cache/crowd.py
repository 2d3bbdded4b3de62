"""Requests for the same at once: who asks, who waits for what comes of that, and where waiting would be in vain."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vidops_plugins.middleware.cache.disk import Key

VAIN = 10.0
"""Seconds for which nobody waits for what was not kept."""
MOST_VAIN = 1000
"""Keys of such; the oldest are forgotten first."""


class Crowd:
    """`patience`: seconds that one waits for another's answer."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._under_way: dict[Key, asyncio.Event] = {}
        self._vain: OrderedDict[Key, float] = OrderedDict()

    async def wait(self, key: Key) -> bool:
        """Wait until it is known whether what is on its way is kept; whether there was any."""
        event = self._under_way.get(key)
        if event is None or self.is_vain(key):
            return False
        try:
            async with asyncio.timeout(self._patience):
                await event.wait()
        except TimeoutError:
            return False
        return True

    def is_vain(self, key: Key) -> bool:
        """Whether the last answer to an ordinary request was not kept, a short while ago."""
        return self._vain.get(key, 0.0) > time.monotonic()

    def learn(self, key: Key, kept: bool) -> None:
        self._vain.pop(key, None)
        if not kept:
            self._vain[key] = time.monotonic() + VAIN
            if len(self._vain) > MOST_VAIN:
                self._vain.popitem(last=False)

    @contextmanager
    def turn(self, key: Key, *, ordinary: bool, leads: bool) -> Iterator[Turn]:
        """For as long as somebody asks: those who come for the same wait, where nobody else asks already."""
        event = None
        if leads and key not in self._under_way and not self.is_vain(key):
            event = self._under_way[key] = asyncio.Event()
        turn = Turn(self, key, ordinary, event)
        try:
            yield turn
        finally:
            turn.over()

    def end(self, key: Key, event: asyncio.Event) -> None:
        event.set()
        if self._under_way.get(key) is event:
            del self._under_way[key]


@dataclass(frozen=True, slots=True)
class Turn:
    """`ordinary`: what comes of it says something of what would come of others' requests."""

    crowd: Crowd
    key: Key
    ordinary: bool
    event: asyncio.Event | None

    def over(self) -> None:
        """Nobody waits for it any longer; who comes now asks, and may be waited for."""
        if self.event is not None:
            self.crowd.end(self.key, self.event)

    def decided(self, kept: bool) -> None:
        if kept or self.ordinary:
            self.crowd.learn(self.key, kept)
        self.over()

"""Stored responses, least recently used going first; a bounded number of bytes in all, in memory and on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vidops_plugins.middleware.cache.disk import Disk, Key
from vidops_plugins.middleware.cache.fields import Fields
from vidops_plugins.middleware.cache.rules import Stored

VARIANTS = 20
"""Responses of one URL; more is a Vary on something that everybody has differently."""


def occupied(key: Key, variants: Sequence[Stored]) -> int:
    """Bytes of memory, at least: what a client writes into a URL is in there as what an upstream answers is."""
    return 600 + sum(map(len, key)) + sum(stored.size for stored in variants)


@dataclass(eq=False)
class Store:
    """By key: the variants of one URL. `limit` in bytes of memory."""

    limit: int
    disk: Disk | None = None
    size: int = 0
    _variants: OrderedDict[Key, list[Stored]] = field(default_factory=OrderedDict)
    _recalled: set[Key] = field(default_factory=set)
    """What the disk is being asked for, and nobody has changed since."""

    async def recall(self, key: Key) -> None:
        """Have in memory what the disk has of it."""
        if self.disk is None or key in self._variants:
            return
        self._recalled.add(key)
        try:
            found = await self.disk.of(key)
            if found and key in self._recalled:
                self._take(key, list(found))
        finally:
            self._recalled.discard(key)

    def room(self, key: Key, head: Stored) -> int:
        """Bytes that the body of an answer may have at the most; `head`: the rest of it."""
        return self.limit - occupied(key, (head,))

    def of(self, key: Key) -> Sequence[Stored]:
        found = self._variants.get(key)
        if found is None:
            return ()
        self._variants.move_to_end(key)
        return tuple(found)

    def put(self, key: Key, stored: Stored, request: Fields) -> None:
        """In the place of what would answer the same request."""
        before = self._forget(key)
        kept = [*[other for other in before if not other.fits(request)][1 - VARIANTS :], stored]
        self._recalled.discard(key)
        self._take(key, kept)
        if self.disk is not None:
            self.disk.put(key, tuple(kept))

    def _take(self, key: Key, variants: list[Stored]) -> None:
        """Of variants that are too many for all of the memory the last ones: others need not go for the rest."""
        while variants and occupied(key, variants) > self.limit:
            del variants[0]
        if not variants:
            return
        self._variants[key] = variants
        self.size += occupied(key, variants)
        while self.size > self.limit:
            self._forget(next(iter(self._variants)))

    def _forget(self, key: Key) -> list[Stored]:
        gone = self._variants.pop(key, [])
        if gone:
            self.size -= occupied(key, gone)
        return gone

    def drop(self, key: Key) -> None:
        """All variants."""
        self._recalled.discard(key)
        if self.disk is not None:
            self.disk.drop(key)
        self._forget(key)

    def keys(self) -> Iterator[Key]:
        yield from tuple(self._variants)

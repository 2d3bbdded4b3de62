"""Stored responses, least recently used going first; a bounded number of bytes in all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vidops_plugins.middleware.cache.rules import Fields, Stored

VARIANTS = 20
"""Responses of one URL; more is a Vary on something that everybody has differently."""

Key = tuple[str, ...]


@dataclass
class Store:
    """By key: the variants of one URL. `limit` in bytes."""

    limit: int
    size: int = 0
    _variants: OrderedDict[Key, list[Stored]] = field(default_factory=OrderedDict)

    def of(self, key: Key) -> Sequence[Stored]:
        found = self._variants.get(key)
        if found is None:
            return ()
        self._variants.move_to_end(key)
        return tuple(found)

    def put(self, key: Key, stored: Stored, request: Fields) -> None:
        """In the place of what would answer the same request."""
        kept = []
        for other in self._variants.pop(key, []):
            if other.fits(request):
                self.size -= other.size
            else:
                kept.append(other)
        kept.append(stored)
        self.size += stored.size
        while len(kept) > VARIANTS:
            self.size -= kept.pop(0).size
        self._variants[key] = kept
        while self.size > self.limit and self._variants:
            _, gone = self._variants.popitem(last=False)
            self.size -= sum(other.size for other in gone)

    def drop(self, key: Key) -> None:
        """All variants."""
        self.size -= sum(stored.size for stored in self._variants.pop(key, []))

    def keys(self) -> Iterator[Key]:
        yield from tuple(self._variants)

"""What the reconciler remembers beyond its own life, as a port: revisions, inventory, events."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from vidops.planning.plan import Applied
from vidops.resources.resource import Ref
from vidops.runtime.state import Revision


class Ledger(Protocol):
    """Blocking; called from threads."""

    def last(self) -> Revision | None:
        """The newest committed revision."""

    def commit(self, path: str, texts: Mapping[str, str], message: str) -> Revision: ...
    def inventory(self) -> dict[Ref, Applied]: ...
    def note(self, ref: Ref, applied: Applied | None) -> None:
        """Remember a resource, or (None) that it is gone."""

    def event(self, kind: str, subject: str, message: str, data: Mapping[str, Any] | None = None) -> None: ...


class Notes:
    """What is to be noted of resources, in order; what cannot be written yet waits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[tuple[Ref, Applied | None]] = deque()

    def add(self, ref: Ref, applied: Applied | None) -> None:
        self._waiting.append((ref, applied))

    def write(self) -> None:
        """Blocking; for one caller at a time, while `add` goes on."""
        while self._waiting:
            self._ledger.note(*self._waiting[0])
            self._waiting.popleft()

"""What the reconciler remembers beyond its own life, as a port: revisions, inventory, events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vidops.planning.plan import Applied
from vidops.resources.resource import Ref


@dataclass(frozen=True, slots=True)
class Revision:
    """A stack file that was committed. `texts`: every file of it by path; `time`: Unix seconds."""

    number: int
    time: float
    path: str
    texts: Mapping[str, str]
    message: str = ""


class Ledger(Protocol):
    """Blocking; called from threads."""

    def last(self) -> Revision | None:
        """The newest committed revision."""

    def commit(self, path: str, texts: Mapping[str, str], message: str) -> Revision: ...
    def inventory(self) -> dict[Ref, Applied]: ...
    def note(self, ref: Ref, applied: Applied | None) -> None:
        """Remember a resource, or (None) that it is gone."""

    def event(self, kind: str, subject: str, message: str, data: Mapping[str, Any] | None = None) -> None: ...

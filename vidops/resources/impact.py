"""Impact: what changing a field costs. Declared on the field, once; the one generic differ reads it."""

from __future__ import annotations

from enum import StrEnum


class Impact(StrEnum):
    """Ordered from nothing to most; a field without one is `REPLACE`.

    Use as metadata: `rate: Annotated[float, Impact.LIVE] = 1.0`.
    """

    NONE = "none"
    LIVE = "live"
    RELOAD = "reload"
    REPLACE = "replace"

    @property
    def weight(self) -> int:
        return _ORDER.index(self)


_ORDER = (Impact.NONE, Impact.LIVE, Impact.RELOAD, Impact.REPLACE)

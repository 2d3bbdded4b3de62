"""The one generic differ: which fields of a spec changed, and what that costs. Pure.

Impact is declared on a spec's field (`resources.impact`); what lies below a field inherits its impact. Nobody
compares fields by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from vidops.resources.impact import Impact
from vidops.resources.resource import JSON, Spec


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs: `routes[2].handler.options.upstream`."""

    path: str
    impact: Impact


def changes(spec: type[Spec], old: JSON, new: JSON) -> tuple[Change, ...]:
    """What differs between two JSON forms of `spec`, in field order.

    `old` may come from an older version of vidops: it is read through the model first, so that a field that was
    added since, with its default, is no change. What the model no longer reads is replaced as a whole.
    """
    if old == new:
        return ()
    try:
        old = spec.model_validate(old).model_dump(mode="json")
    except ValidationError:
        return (Change("", Impact.REPLACE),)
    impacts = field_impacts(spec)
    found: list[Change] = []
    for name in spec.model_fields:
        found.extend(Change(path, impacts[name]) for path in differing(old.get(name), new.get(name), name))
    return tuple(found)


def heaviest(found: tuple[Change, ...]) -> Impact:
    """The impact of all changes together."""
    return max((c.impact for c in found), key=lambda i: i.weight, default=Impact.NONE)


@lru_cache(maxsize=64)
def field_impacts(spec: type[Spec]) -> dict[str, Impact]:
    """Each field's declared impact; one without is `REPLACE`."""
    return {
        name: next((m for m in info.metadata if isinstance(m, Impact)), Impact.REPLACE)
        for name, info in spec.model_fields.items()
    }


def differing(old: Any, new: Any, path: str) -> Iterator[str]:
    """Paths of the smallest parts that differ."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from differing(old.get(key), new.get(key), f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from differing(a, b, f"{path}[{i}]")
    else:
        yield path

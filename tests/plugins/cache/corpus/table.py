"""How a case is written down: what a client asks, what the origin says if it is asked, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from typing import Any

Value = str | int | Sequence[str]
"""Of a field: text, a date that is so many seconds from now, or one text a line."""
HOUR = 3600


class Comes(StrEnum):
    """What a client is given in a step."""

    NEW = "the origin's answer to it"
    STORED = "an earlier answer, without the origin"
    CHECKED = "an earlier answer, after the origin has said 304"
    MEANWHILE = "an earlier answer, while the origin is asked"
    INSTEAD = "an earlier answer, since the origin has failed"
    REFUSED = "the gateway's own answer, without the origin"
    BROKEN = "the gateway's own answer, since the origin has failed"


@dataclass(frozen=True, kw_only=True)
class Step:
    """`{here}` in a field or a path is where the case's own paths begin."""

    comes: Comes
    # What is asked.
    method: str = "GET"
    path: str = ""
    asks: Mapping[str, Value] = field(default_factory=dict)
    # What the origin says, if it is asked.
    says: int = 200
    fields: Mapping[str, Value] = field(default_factory=dict)
    body: str | None = None
    hint: str = ""
    hangs_up: bool = False
    # What is to come of it.
    status: int = 200
    of: int = 0
    """The step whose answer comes; 0: the last that was new."""
    has: Mapping[str, Value] = field(default_factory=dict)
    lacks: Sequence[str] = ()
    told: Mapping[str, str | None] = field(default_factory=dict)
    """Fields that the origin has, or has not, seen."""
    content: str | None = None
    aged: int | None = None
    """The least that `Age` says; no more than a minute above."""


@dataclass(frozen=True)
class Case:
    law: str
    what: str
    steps: tuple[Step, ...]
    route: str = "plain"

    def __str__(self) -> str:
        return f"{self.law} {self.what}"


def case(law: str, what: str, *steps: Step, route: str = "plain") -> Case:
    return Case(law, what, steps, route)


def _step(comes: Comes, said: str, options: dict[str, Any]) -> Step:
    """What is no option of a step is a field of the origin's."""
    known = {name: options.pop(name) for name in tuple(options) if name in Step.__dataclass_fields__}
    fields = {name.replace("_", "-"): value for name, value in options.items()}
    return Step(comes=comes, fields={**({"cache-control": said} if said else {}), **fields}, **known)


def new(said: str = "", **options: Any) -> Step:
    """The origin is asked, says `Cache-Control: said`, and that is what comes."""
    return _step(Comes.NEW, said, {"status": options.get("says", 200), **options})


def checked(said: str = "", **options: Any) -> Step:
    return _step(Comes.CHECKED, said, {"says": 304, **options})


def stored(**options: Any) -> Step:
    return Step(comes=Comes.STORED, **options)


def meanwhile(said: str = "", **options: Any) -> Step:
    return _step(Comes.MEANWHILE, said, options)


def instead(**options: Any) -> Step:
    return _step(Comes.INSTEAD, "", options)


def refused(status: int, **options: Any) -> Step:
    return Step(comes=Comes.REFUSED, status=status, **options)


def broken(**options: Any) -> Step:
    return Step(comes=Comes.BROKEN, hangs_up=True, status=502, **options)


NEW, STORED = new(), stored()


def lines(fields: Mapping[str, Value], here: str) -> list[tuple[str, str]]:
    """Fields as they are on the wire."""
    now = int(time.time())
    made: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, int):
            made.append((name, formatdate(now + value, usegmt=True)))
        else:
            made += [(name, text.replace("{here}", here)) for text in ([value] if isinstance(value, str) else value)]
    return made

"""Several ways to come in, of which one is enough: all but the last are `optional`.

An optional one lets pass whoever brings nothing for it; whoever brings something good is known, and what comes after
asks for nothing more, nor looks at it. Something bad is refused where it is looked at. Without `optional`, each link of
a chain has to be satisfied.
"""

from __future__ import annotations

from vidops import api
from vidops.api import USER, Options, Scope, User

KNOWN = "vidops.known"


class Way(Options):
    """Base of the options of what finds out who asks."""

    optional: bool = False
    """Let pass whoever brings nothing for it, and let whoever it knows pass what comes after. For several ways to come
    in, of which the last is not optional."""


def is_known(scope: Scope) -> bool:
    """Whether an optional one before has found out who asks."""
    return KNOWN in scope


def note(scope: Scope, user: User, way: Way) -> None:
    """Who asks, and whether that is enough."""
    api.note(scope, USER, user)
    if way.optional:
        scope[KNOWN] = True

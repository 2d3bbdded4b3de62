"""`authorize`: what whom is allowed: routes, methods, and what may be done with which cameras. Else nothing is.

A rule fits a request by who asks (all that it names) and by where (path, method). The rules that fit say together
what may be done with which cameras; handlers ask for it (`may_do`). No rule that fits: 403.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated

from pydantic import Field, model_validator

from vidops.api import (
    ACTIONS,
    GRANTS,
    Action,
    ASGIApp,
    GatewayContext,
    Grant,
    Options,
    Receive,
    Scope,
    Send,
    User,
    respond_problem,
    tenant_of,
    user_of,
)

Word = Annotated[str, Field(min_length=1, max_length=200)]
Path = Annotated[str, Field(pattern=r"^/[^\x00-\x20\x7f?#\\]*$", max_length=500)]
Glob = Annotated[str, Field(min_length=1, max_length=100)]
Method = Annotated[str, Field(pattern=r"^[A-Z]{3,20}$")]


class AuthorizeRule(Options):
    """Whom it is for, where, and what may be done then. What is not named is not asked for."""

    roles: tuple[Word, ...] = ()
    """Whoever has one of these."""
    users: tuple[Word, ...] = ()
    """Users whose names fit one of these globs."""
    tenants: tuple[Word, ...] = ()
    """Those who act for a tenant whose name fits one of these globs (`tenant` comes before in the chain)."""
    scopes: tuple[Word, ...] = ()
    """Tokens that have all of these."""
    anyone: bool = False
    """Everybody whom the chain lets come so far, for a rule that names nobody."""
    paths: tuple[Path, ...] = ()
    """Where: `/exact`, `/one/*`, `/all/**`. None given: wherever this chain is."""
    methods: tuple[Method, ...] = ()
    """With these methods; a WebSocket counts as GET, and GET brings HEAD. None given: all."""
    devices: tuple[Glob, ...] = ("*",)
    """Cameras by globs."""
    actions: Annotated[tuple[Action, ...], Field(min_length=1)] = ACTIONS
    """What may be done with them: `streams` (pictures), `controls` (start, stop, set), `recordings` (look at),
    `edits` (keep and delete recordings)."""

    @model_validator(mode="after")
    def _for_somebody(self) -> AuthorizeRule:
        named = bool(self.roles or self.users or self.tenants or self.scopes)
        if named == self.anyone:
            raise ValueError("a rule says whom it is for: roles, users, tenants, scopes; or `anyone: true`")
        return self


class Authorize(Options):
    """Allows what a rule allows, and nothing else (403; a camera that is not allowed is not there: 404)."""

    allow: Annotated[tuple[AuthorizeRule, ...], Field(min_length=1, max_length=1000)]
    """Rules; their order does not matter."""


def build(options: Authorize, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    rules = [(rule, Grant(frozenset(rule.actions), rule.devices)) for rule in options.allow]

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            grants = tuple(grant for rule, grant in rules if fits(rule, scope))
            if not grants:
                await respond_problem(scope, send, 403, "this is not allowed to you", reason="NotAllowed")
                return
            # Beside those of another `authorize` before this one: each of them has to grant.
            await app({**scope, GRANTS: (*scope.get(GRANTS, ()), grants)}, receive, send)

        return guarded

    return wrap


def fits(rule: AuthorizeRule, scope: Scope) -> bool:
    """Whether a rule is for this request."""
    user, tenant = user_of(scope), tenant_of(scope)
    return (
        _is_named(rule, user)
        and (not rule.tenants or (tenant is not None and any(fnmatchcase(tenant.name, glob) for glob in rule.tenants)))
        and (not rule.methods or not _methods(scope).isdisjoint(rule.methods))
        and (not rule.paths or any(path_pattern(path).fullmatch(scope["path"]) for path in rule.paths))
    )


def _is_named(rule: AuthorizeRule, user: User | None) -> bool:
    if not (rule.roles or rule.users or rule.scopes):
        return True
    return (
        user is not None
        and (not rule.roles or not user.roles.isdisjoint(rule.roles))
        and (not rule.users or any(fnmatchcase(user.name, glob) for glob in rule.users))
        and (not rule.scopes or _scopes(user).issuperset(rule.scopes))
    )


def _scopes(user: User) -> set[str]:
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = user.claims.get(name)
        found.update(value.split() if isinstance(value, str) else value if isinstance(value, list) else ())
    return found


def _methods(scope: Scope) -> frozenset[str]:
    """By which a rule may name this request."""
    method = str(scope.get("method", "GET"))
    return frozenset(("HEAD", "GET") if method == "HEAD" else (method,))


@lru_cache(maxsize=4096)
def path_pattern(text: str) -> re.Pattern[str]:
    """As routes have it: `*` one segment, `**` at the end everything below and the path itself."""
    below = text.endswith("/**")
    segments: Sequence[str] = text.removesuffix("/**").split("/")
    body = "/".join("[^/]+" if segment == "*" else re.escape(segment) for segment in segments)
    return re.compile(body + ("(?:/.*)?" if below else ""), re.DOTALL)

"""Requests that other sites' pages make with the user's cookies (CSRF). Told by what browsers say, not by tokens.

`Sec-Fetch-Site` is in every current browser's requests and cannot be set by a page; `Origin` is in all older ones' that
change something. A request that has neither is no browser's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from vidops.api import ORIGIN, ASGIApp, GatewayContext, Options, Receive, Scope, Send, header, respond_problem
from vidops_plugins.middleware.cors import Origin
from vidops_plugins.middleware.websocket_origin import fits

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


class Csrf(Options):
    """Refuses requests that change something and come from other sites' pages."""

    origins: Annotated[list[Origin], Field(max_length=200)] = Field(default_factory=list)
    """https://HOST[:PORT] whose pages may, besides the gateway's own."""


def build(options: Csrf, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    allowed = frozenset(options.origins)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["method"] not in SAFE and not own(scope, allowed):
                detail = "a page of another site may not do this"
                await respond_problem(scope, send, 403, detail, reason="ForeignSite")
                return
            changes = scope["type"] == "http" and scope["method"] not in SAFE
            await app({**scope, ORIGIN: True} if changes else scope, receive, send)

        return guarded

    return wrap


def own(scope: Scope, allowed: frozenset[str]) -> bool:
    """Whether a page of ours, or no page at all, sends this."""
    site = header(scope, b"sec-fetch-site")
    if site in (b"same-origin", b"none"):
        return True
    given = header(scope, b"origin")
    if given is not None and given.decode("latin-1") in allowed:
        return True
    if site is not None:
        return False
    return fits(scope, allowed, required=False)

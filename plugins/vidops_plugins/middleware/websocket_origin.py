"""WebSockets know no same-origin rule: any page may open one, with the user's cookies. Here listed origins may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from vidops.api import ORIGIN, ASGIApp, GatewayContext, Options, Receive, Scope, Send, header, respond_problem
from vidops_plugins.middleware.cors import Origin


class WebSocketOrigin(Options):
    """Refuses handshakes of foreign pages. What is no browser sends no Origin, and is let through."""

    origins: Annotated[list[Origin], Field(max_length=200)] = Field(default_factory=list)
    """https://HOST[:PORT] besides the gateway's own, as the client calls it."""
    require: bool = False
    """Refuse handshakes without an Origin, too."""


def build(options: WebSocketOrigin, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    allowed = frozenset(options.origins)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket" and not fits(scope, allowed, required=options.require):
                await receive()
                await respond_problem(scope, send, 403, "pages of this origin may not connect", reason="ForeignOrigin")
                return
            await app({**scope, ORIGIN: True} if scope["type"] == "websocket" else scope, receive, send)

        return guarded

    return wrap


def fits(scope: Scope, allowed: frozenset[str], *, required: bool) -> bool:
    """Whether the handshake's origin is listed, or that of the very host that it is sent to."""
    given = [value for name, value in scope["headers"] if name == b"origin"]
    if not given:
        return not required
    if len(given) > 1:
        return False
    text = given[0].decode("latin-1")
    if text in allowed:
        return True
    host = (header(scope, b"host") or b"").decode("latin-1")
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    secure = scope["scheme"] in ("https", "wss")
    return parts.scheme == ("https" if secure else "http") and str(parts.netloc).lower() == host.lower()

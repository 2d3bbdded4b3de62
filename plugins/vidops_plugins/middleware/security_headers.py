"""Header fields that tell a browser to take less for granted. What a handler sets itself is left as it is."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydantic import Field, field_validator

from vidops.api import ASGIApp, GatewayContext, Message, Options, PositiveDuration, Receive, Scope, Send
from vidops_plugins.middleware.fields import FieldName


class SecurityHeaders(Options):
    """Sets nosniff, no framing, no referrer, an isolated opener, and HSTS where the connection is secure."""

    frame_options: str = "DENY"
    """X-Frame-Options; empty leaves it out (a page that others may embed)."""
    referrer_policy: str = "no-referrer"
    """Referrer-Policy; empty leaves it out."""
    permissions_policy: str = "camera=(), geolocation=(), microphone=()"
    """Permissions-Policy; empty leaves it out."""
    hsts: PositiveDuration | None = None
    """How long a browser shall insist on HTTPS. Sent over HTTPS alone."""
    headers: dict[FieldName, str] = Field(default_factory=dict)
    """More header fields, set where the handler does not."""

    @field_validator("frame_options", "referrer_policy", "permissions_policy")
    @classmethod
    def _line(cls, value: str) -> str:
        return _one_line(value)

    @field_validator("headers")
    @classmethod
    def _fields(cls, value: dict[str, str]) -> dict[str, str]:
        for text in value.values():
            _one_line(text)
        return value


def _one_line(value: str) -> str:
    if re.search(r"[^\t\x20-\x7e]", value):
        raise ValueError("must be one line of ASCII")
    return value


def build(options: SecurityHeaders, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    plain = {
        "x-content-type-options": "nosniff",
        "x-frame-options": options.frame_options,
        "referrer-policy": options.referrer_policy,
        "permissions-policy": options.permissions_policy,
        "cross-origin-opener-policy": "same-origin",
        **options.headers,
    }
    always = [(name.encode(), value.encode()) for name, value in plain.items() if value]
    secure = [*always]
    if options.hsts is not None:
        secure.append((b"strict-transport-security", b"max-age=%d" % options.hsts))

    def wrap(app: ASGIApp) -> ASGIApp:
        async def secured(scope: Scope, receive: Receive, send: Send) -> None:
            ours = secure if scope["scheme"] in ("https", "wss") else always

            async def answer(message: Message) -> None:
                if message["type"].endswith("response.start"):
                    theirs = list(message.get("headers", ()))
                    names = {name.lower() for name, _ in theirs}
                    message = {**message, "headers": [*theirs, *(pair for pair in ours if pair[0] not in names)]}
                await send(message)

            await app(scope, receive, answer)

        return secured

    return wrap

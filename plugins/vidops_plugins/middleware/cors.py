"""Pages of other origins that may ask (the Fetch standard): the listed ones, by their exact name, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from vidops.api import ASGIApp, Duration, GatewayContext, Message, Options, Receive, Scope, Send, header, respond
from vidops_plugins.middleware.fields import FieldName

_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::[0-9]{1,5})?")


def origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("not an origin: write https://HOST or https://HOST:PORT in lower case, without a path; "
                         "every origin at once cannot be allowed")  # fmt: skip
    return text


Origin = Annotated[str, AfterValidator(origin)]
Method = Annotated[str, Field(pattern=r"^[A-Z]{1,20}$")]


class Cors(Options):
    """Lets pages of listed origins ask. Browsers keep the answers from pages of others."""

    origins: Annotated[list[Origin], Field(min_length=1, max_length=200)]
    """https://HOST[:PORT], each exactly as a browser says it."""
    methods: Annotated[tuple[Method, ...], Field(max_length=20)] = ("GET", "HEAD", "POST")
    """What they may do."""
    headers: Annotated[tuple[FieldName, ...], Field(max_length=100)] = ("content-type", "authorization")
    """Request fields that they may set."""
    expose: Annotated[list[FieldName], Field(max_length=100)] = Field(default_factory=list)
    """Fields of answers that they may read, besides the usual ones."""
    credentials: bool = False
    """Whether their users' cookies and certificates come along."""
    max_age: Duration = "10m"  # type: ignore[assignment]
    """How long a browser may keep the answer to its first question (preflight)."""


def build(options: Cors, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    allowed = {text.encode() for text in options.origins}
    preflight = [
        (b"access-control-allow-methods", ", ".join(options.methods).encode()),
        (b"access-control-allow-headers", ", ".join(options.headers).encode()),
        (b"access-control-max-age", b"%d" % options.max_age),
        (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
    ]

    def granted(asked: bytes) -> list[tuple[bytes, bytes]]:
        fields = [(b"access-control-allow-origin", asked)]
        if options.credentials:
            fields.append((b"access-control-allow-credentials", b"true"))
        return fields

    def wrap(app: ASGIApp) -> ASGIApp:
        async def shared(scope: Scope, receive: Receive, send: Send) -> None:
            asked = header(scope, b"origin")
            known = asked in allowed
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            if scope["method"] == "OPTIONS" and asked and header(scope, b"access-control-request-method"):
                fields = [*granted(asked), *preflight] if known else [(b"vary", b"origin")]
                await respond(scope, send, 204 if known else 403, headers=fields)
                return

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    theirs = [(n, v) for n, v in message.get("headers", ()) if not n.lower().startswith(_OURS)]
                    fields = granted(asked) if known and asked else []
                    if fields and options.expose:
                        fields.append((b"access-control-expose-headers", ", ".join(options.expose).encode()))
                    message = {**message, "headers": [*theirs, *fields, (b"vary", b"origin")]}
                await send(message)

            await app(scope, receive, answer)

        return shared

    return wrap


_OURS = b"access-control-"

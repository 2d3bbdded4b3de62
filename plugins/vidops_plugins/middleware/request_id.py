"""A name for each request: in the answer, in the log, and for whatever comes after in the chain."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from pydantic import field_validator

from vidops.api import ASGIApp, GatewayContext, Message, Options, Receive, Scope, Send, note

_OTHERS = (
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "authorization",
    "cookie",
)
_PLAIN = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class RequestId(Options):
    """Gives each request an id, in its answer and in the access log."""

    header: str = "x-request-id"
    """Header field of the answer, and of the request that the rest of the chain sees."""
    trust: bool = False
    """Keep an id that the client sent. Only behind a proxy that sets it."""

    @field_validator("header")
    @classmethod
    def _name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9-]+", value):
            raise ValueError("is not the name of a header field")
        if value.lower() in _OTHERS:
            raise ValueError(f"{value} says something else of a message")
        return value.lower()


def build(options: RequestId, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    name = options.header.encode()

    def wrap(app: ASGIApp) -> ASGIApp:
        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            given = [v for n, v in scope["headers"] if n == name]
            keep = options.trust and len(given) == 1 and _PLAIN.fullmatch(given[0])
            number = given[0] if keep else secrets.token_hex(16).encode()
            note(scope, "vidops.request_id", number.decode())
            headers = [(n, v) for n, v in scope["headers"] if n != name]
            inner = {**scope, "headers": [*headers, (name, number)]}

            async def answer(message: Message) -> None:
                if message["type"].endswith("response.start") or message["type"] == "websocket.accept":
                    others = [(n, v) for n, v in message.get("headers", ()) if n.lower() != name]
                    message = {**message, "headers": [*others, (name, number)]}
                await send(message)

            await app(inner, receive, answer)

        return named

    return wrap

"""A fixed answer: a notice, a redirect, a robots.txt, a probe's target."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from pydantic import Field, field_validator

from vidops.api import ASGIApp, GatewayContext, Options, Receive, Scope, Send, respond

_OURS = ("content-type", "content-length", "connection", "transfer-encoding", "date")


class Respond(Options):
    """One answer to every request."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    """HTTP status code."""
    body: str = ""
    """Text of the answer."""
    content_type: str = "text/plain; charset=utf-8"
    """Media type of the body."""
    headers: dict[str, str] = Field(default_factory=dict)
    """More header fields."""

    @field_validator("content_type")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if re.search(r"[^\t\x20-\x7e]", value):
            raise ValueError("must be one line of ASCII")
        return value

    @field_validator("headers")
    @classmethod
    def _fields(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[!#$%&'*+.^`|~0-9A-Za-z-]+", name):
                raise ValueError(f"{name!r} is not the name of a header field")
            if name.lower() in _OURS:
                raise ValueError(f"{name} follows from the answer itself")
            if re.search(r"[^\t\x20-\x7e]", text):
                raise ValueError(f"the value of {name} must be one line of ASCII")
        return value


def build(options: Respond, context: GatewayContext) -> ASGIApp:
    headers = [(name.lower().encode(), value.encode()) for name, value in options.headers.items()]
    bare = options.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    body = b"" if bare else options.body.encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(scope, send, options.status, body, content_type=options.content_type, headers=headers)

    return app

"""Another path for what comes after in the chain."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, model_validator

from vidops.api import ASGIApp, GatewayContext, Options, Receive, Scope, Send, respond_problem


class Rewrite(Options):
    """Writes the path anew. Handlers that look at what `**` matched see the whole of the new path."""

    match: Annotated[str, Field(min_length=1, max_length=500)]
    """A regular expression for the whole decoded path; others are left as they are."""
    to: Annotated[str, Field(min_length=1, max_length=500)]
    """The new path; \\1 or \\g<name> is what a group of `match` found."""

    @model_validator(mode="after")
    def _works(self) -> Rewrite:
        try:
            pattern = re.compile(self.match)
            pattern.sub(self.to, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"no regular expression, or no replacement for it: {error}") from None
        if not self.to.startswith(("/", "\\")):
            raise ValueError("to: a path starts with /")
        return self


def build(options: Rewrite, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    pattern = re.compile(options.match)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def rewritten(scope: Scope, receive: Receive, send: Send) -> None:
            found = pattern.fullmatch(scope["path"])
            if found is None:
                await app(scope, receive, send)
                return
            path = found.expand(options.to)
            segments = path.split("/")
            if not path.startswith("/") or "" in segments[1:-1] or {".", ".."} & set(segments) or "\0" in path:
                await respond_problem(scope, send, 400, "this path cannot be rewritten", reason="BadPath")
                return
            raw = quote(path, safe="/:@!$&'()*+,;=~").encode()
            await app({**scope, "path": path, "raw_path": raw, "vidops.rest": path[1:]}, receive, send)

        return rewritten

    return wrap

"""`redirect`: somewhere else, by a template."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, field_validator

from vidops.api import ASGIApp, GatewayContext, Options, Receive, Scope, Send, header, respond, respond_problem

FIELDS = ("path", "rest", "host")


class Redirect(Options):
    """Sends clients elsewhere."""

    to: Annotated[str, Field(min_length=1, max_length=2000)]
    """A URL or a path, with {path}, {rest} (what `**` matched) and {host} (as the client called this gateway)."""
    status: Literal[301, 302, 303, 307, 308] = 308
    """308 and 307 keep method and body; 301 and 308 are remembered by browsers."""
    keep_query: bool = True
    """Send the query along."""

    @field_validator("to")
    @classmethod
    def _place(cls, value: str) -> str:
        plain = re.sub(r"\{(\w+)\}", lambda m: "" if m[1] in FIELDS else "{", value)
        if re.search(r"[{}\x00-\x20\x7f]|[^\x00-\x7f]", plain):
            raise ValueError(f"a URL of ASCII, with {', '.join('{' + f + '}' for f in FIELDS)} and no other fields")
        if not re.match(r"/(?!/)|https?://[^/{]+(?:/|$)|https?://\{host\}(?:/|$|\{path\})|\{path\}", value):
            raise ValueError("starts with http://HOST/, https://HOST/, https://{host}/ or a single /")
        return value


def build(options: Redirect, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await respond_problem(scope, send, 400, "this is no WebSocket")
            return
        host = (header(scope, b"host") or b"").decode("latin-1")
        values = {"path": quote(scope["path"], safe="/:@!$&'()*+,;=~"), "host": host}
        values["rest"] = quote(scope["vidops.rest"], safe="/:@!$&'()*+,;=~")
        if not host and "{host}" in options.to:
            # "https:///name/" is another host to browsers.
            await respond_problem(scope, send, 400, "a Host header is needed here")
            return
        place = re.sub(r"\{(\w+)\}", lambda m: values[m[1]], options.to)
        # Two of them, as "/{path}" makes, and what follows is another host.
        place, hash_, fragment = re.sub(r"\A[/\\]+", "/", place).partition("#")
        if options.keep_query and scope["query_string"]:
            place += ("&" if "?" in place else "?") + scope["query_string"].decode("latin-1")
        place += hash_ + fragment
        await respond(scope, send, options.status, headers=[(b"location", place.encode("latin-1"))])

    return app

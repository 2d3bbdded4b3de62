"""How much a route takes at once: the size of bodies, and how many requests run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from vidops.api import ASGIApp, GatewayContext, Options, Receive, Scope, Send, Size, header, respond_problem

MOST_DIGITS = 20
"""Of a length; a longer one is larger than anything."""


class Limits(Options):
    """Refuses larger bodies (413) and more requests at a time (503)."""

    max_body: Size = "16MiB"  # type: ignore[assignment]
    """Largest body of a request; takes the place of the gateway's own limit of 16 MiB."""
    max_concurrent: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests of the route that run at a time, streams included."""


def build(options: Limits, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    running = 0

    def wrap(app: ASGIApp) -> ASGIApp:
        async def limited(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal running
            length = header(scope, b"content-length")
            if length is not None and (
                not length.isdigit() or len(length) > MOST_DIGITS or int(length) > options.max_body
            ):
                await respond_problem(scope, send, 413, f"the body is larger than {options.max_body} bytes")
                return
            if options.max_concurrent is not None and running >= options.max_concurrent:
                retry = [(b"retry-after", b"1")]
                detail = f"{options.max_concurrent} requests are running already"
                await respond_problem(scope, send, 503, detail, reason="TooManyRequests", headers=retry)
                return
            if "vidops.body" in scope:
                # The gateway counts what is read; a body without a length is known by that alone.
                scope["vidops.body"].limit = options.max_body
            running += 1
            try:
                await app(scope, receive, send)
            finally:
                running -= 1

        return limited

    return wrap

"""A notice in the place of a route: 503 for everybody, with the time to come back."""

from __future__ import annotations

from collections.abc import Callable

from vidops.api import ASGIApp, GatewayContext, Options, PositiveDuration, Receive, Scope, Send, respond_problem


class Maintenance(Options):
    """Answers 503 in the place of everything behind it. Open streams end with the edit that adds it."""

    message: str = "this service is being worked on"
    """What the answer says."""
    retry_after: PositiveDuration = "5m"  # type: ignore[assignment]
    """When clients shall ask again."""


def build(options: Maintenance, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    headers = [(b"retry-after", b"%d" % max(1, round(options.retry_after)))]

    def wrap(app: ASGIApp) -> ASGIApp:
        async def closed(scope: Scope, receive: Receive, send: Send) -> None:
            await respond_problem(scope, send, 503, options.message, reason="Maintenance", headers=headers)

        return closed

    return wrap

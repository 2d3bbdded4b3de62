"""`/livez` and `/readyz`, by Kubernetes' names.

`/livez` is 200 as long as the event loop turns. `/readyz` is 503 with the reasons while the hub does not answer: then
no stream can begin. The control plane is none of its business, since streams and recordings go on without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from vidops.api import ASGIApp, GatewayContext, Options, Receive, Scope, Send, respond_json, respond_problem
from vidops_plugins.handlers.lookup import refused_as_write
from vidops_plugins.handlers.openapi import answer, fields, operation


class Health(Options):
    """Answers probes of load balancers and orchestrators."""

    probe: Literal["auto", "live", "ready"] = "auto"
    """What is asked: auto takes a path that ends in `livez` for the one and any other for the other."""


def describe(options: Health) -> Mapping[str, Mapping[str, Any]]:
    return {"": {"get": operation("Whether it lives, or is ready.", answer(fields(status={"type": "string"})))}}


def build(options: Health, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if await refused_as_write(scope, send):
            return
        live = options.probe == "live" or (options.probe == "auto" and scope["path"].endswith("/livez"))
        if live:
            await respond_json(scope, send, {"status": "live"})
        elif context.cameras.connected.is_set():
            await respond_json(scope, send, {"status": "ready", "checks": {"hub": "connected"}})
        else:
            retry, checks = [(b"retry-after", b"2")], {"hub": "does not answer"}
            more: Any = {"title": "Not ready", "reason": "HubDown", "headers": retry, "checks": checks}
            await respond_problem(scope, send, 503, "the hub does not answer", **more)

    return app

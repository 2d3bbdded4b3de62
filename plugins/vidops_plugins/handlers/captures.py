"""`/v1/captures`: what records and why the rest does not; those that record on demand are started and stopped here.

    GET  /                     every capture
    POST /<name>/start, /stop  with `writable: true`

What people ask for is the control plane's to do and to remember; without it, both answer 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    PermanentError,
    Receive,
    Scope,
    Send,
    TemporaryError,
    may_do,
    respond_json,
    respond_problem,
)
from vidops_plugins.handlers.footage import same_site
from vidops_plugins.handlers.openapi import answer, fields, in_path, listed, operation

ACTIONS = ("start", "stop")


class Captures(Options):
    """Captures as JSON: what each records, whether it does now, and if not, why and until when."""

    writable: bool = False
    """Whether captures with `on_demand: true` may be started and stopped here, by whoever the route's chain lets in."""


def describe(options: Captures) -> Mapping[str, Mapping[str, Any]]:
    rows = answer(fields(captures=listed(fields(name={"type": "string"}, camera={"type": "string"}))))
    turned = answer(fields(captures=listed({"type": "object"})))
    name = in_path("name", "A capture's name.")
    found = {"": {"get": operation("What records, and why the rest does not.", rows)}}
    if options.writable:
        refused = {403: "Another site's page, or you may look only.", 409: "It is not on demand."}
        for word, what in (("start", "Record."), ("stop", "Do not record any more.")):
            found[f"/{{name}}/{word}"] = {"post": operation(what, turned, parameters=[name], refused=refused)}
    return found


def build(options: Captures, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        rest = str(scope.get("vidops.rest", ""))
        name, _, action = rest.rpartition("/")
        allowed = "POST" if rest and options.writable else "GET, HEAD"
        if scope["type"] != "http":
            await respond_problem(scope, send, 400, "this is no WebSocket")
        elif rest and (action not in ACTIONS or not options.writable):
            await respond_problem(scope, send, 404, f"there is nothing at {rest[:100]!r}")
        elif scope["method"] not in allowed:
            allow = [(b"allow", allowed.encode())]
            await respond_problem(scope, send, 405, f"this path answers {allowed}", headers=allow)
        elif rest and not same_site(scope):
            await respond_problem(scope, send, 403, "another site's page may not do this", reason="CrossSite")
        else:
            try:
                await (_turn(scope, send, context, name, action) if rest else _list(scope, send, context))
            except TemporaryError as error:
                retry = [(b"retry-after", b"2")]
                await respond_problem(scope, send, 503, str(error), reason=error.reason, headers=retry)

    return app


async def _list(scope: Scope, send: Send, context: GatewayContext) -> None:
    rows = [_row(r) for r in await _captures(context)]
    shown = [row for row in rows if may_do(scope, "recordings", row["camera"])]
    await respond_json(scope, send, {"captures": shown})


async def _turn(scope: Scope, send: Send, context: GatewayContext, name: str, action: str) -> None:
    try:
        await respond_json(scope, send, dict(await turn(scope, context, name, action)))
    except PermanentError as error:
        status = {"UnknownCapture": 404, "Forbidden": 403}.get(error.reason, 409)
        await respond_problem(scope, send, status, str(error), reason=error.reason)


async def turn(scope: Scope, context: GatewayContext, name: str, action: str) -> Mapping[str, object]:
    """Start or stop an entry, which may be of several cameras: all of them have to be the asker's.

    Raises `PermanentError` (UnknownCapture, Forbidden, NotOnDemand), `TemporaryError` while no control plane answers.
    """
    rows = [row for r in await _captures(context) if name in ((row := _row(r))["name"], row["name"].partition(".")[0])]
    if not rows or not all(may_do(scope, "recordings", row["camera"]) for row in rows):
        raise PermanentError(f"there is no capture {name[:100]!r}", reason="UnknownCapture")
    if not all(may_do(scope, "edits", row["camera"]) for row in rows):
        raise PermanentError("you may look at this capture, and not turn it", reason="Forbidden")
    return await context.control.post(f"/v1/captures/{name}/{action}", {})


async def _captures(context: GatewayContext) -> list[Mapping[str, Any]]:
    """Raises `TemporaryError` while no control plane answers."""
    resources = (await context.control.status()).get("resources")
    return [r for r in resources if r.get("kind") == "capture"] if isinstance(resources, list) else []


def _row(resource: Mapping[str, Any]) -> dict[str, Any]:
    facts = resource.get("facts", {})
    return {
        "name": str(resource["name"]),
        "camera": str(facts.get("camera", "")),
        "records": resource.get("health") in ("Healthy", "Progressing"),
        "health": resource.get("health", ""),
        "reason": resource.get("reason", ""),
        "message": resource.get("message", ""),
        "until": facts.get("until"),
    }

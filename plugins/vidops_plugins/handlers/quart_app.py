"""A small Quart application as the handler of a route: for APIs and pages, where its comfort is worth its price.

Quart is imported when the first one is built, since every process that reads stack files loads this package, and
most of them serve nothing.
"""

from __future__ import annotations

import secrets
import traceback
from typing import TYPE_CHECKING, Any

from vidops.api import ASGIApp, GatewayContext, Receive, Scope, Send, problem, respond_problem

if TYPE_CHECKING:
    from quart import Quart
    from quart.typing import ResponseReturnValue


def new_app(name: str, context: GatewayContext) -> Quart:
    """An application without static files, whose errors are problem documents. It starts and stops with its route."""
    from quart import Quart
    from werkzeug.exceptions import HTTPException

    app = Quart(name, static_folder=None)
    # The gateway limits bodies for every route already, and closes what takes too long to send.
    app.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)

    @app.errorhandler(HTTPException)
    async def known(error: HTTPException) -> ResponseReturnValue:
        headers = {n: v for n, v in error.get_headers() if n.lower() not in ("content-type", "content-length")}
        return document(error.code or 500, str(error.description or ""), headers=headers)

    @app.errorhandler(Exception)
    async def unknown(error: Exception) -> ResponseReturnValue:
        number = secrets.token_hex(8)
        said = "".join(traceback.format_exception(error))
        record = {"level": "error", "event": "request_failed", "error_id": number, "route": context.route}
        context.log({**record, "error": repr(error), "traceback": said})
        return document(500, "the log has the reason under this id", error_id=number)

    context.started.append(app.startup)
    context.stopped.append(app.shutdown)
    return app


def mounted(app: Quart) -> ASGIApp:
    """The application below its route: it sees what `**` matched as its whole path."""
    asgi: Any = app

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await respond_problem(scope, send, 400, "this is no WebSocket")
            return
        await asgi({**scope, "path": f"/{scope['vidops.rest']}", "root_path": ""}, receive, send)

    return serve


def document(status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> ResponseReturnValue:
    """`application/problem+json`, as a view returns it."""
    fields = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **(headers or {})}
    return problem(status, detail, **more), status, fields

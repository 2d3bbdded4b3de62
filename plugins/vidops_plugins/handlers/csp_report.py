"""`csp_report`: where browsers tell of what a page was refused (see the middleware `csp`). Anybody may post here."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

from pydantic import Field

from vidops.api import ASGIApp, GatewayContext, Options, Receive, Scope, Send, respond, respond_problem

LIMIT = 16 * 1024
FIELDS = ("document-uri", "violated-directive", "effective-directive", "blocked-uri", "source-file", "line-number",
          "documentURL", "effectiveDirective", "blockedURL", "sourceFile", "lineNumber", "disposition")  # fmt: skip
TEXT = 300


class CspReport(Options):
    """Writes reports into the gateway's log."""

    per_minute: Annotated[int, Field(ge=1, le=10000)] = 60
    """Reports that are written; the rest is counted and forgotten."""


def build(options: CspReport, context: GatewayContext) -> ASGIApp:
    minute, written = -1, 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal minute, written
        if scope["type"] != "http" or scope["method"] != "POST":
            await respond_problem(scope, send, 405, "reports are posted", headers=[(b"allow", b"POST")])
            return
        body, more = b"", True
        while more and len(body) <= LIMIT:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        found = reports(body) if len(body) <= LIMIT else None
        if found is None:
            await respond_problem(scope, send, 400, f"a report is JSON of at most {LIMIT} bytes")
            return
        now = int(time.monotonic() // 60)
        if now != minute:
            minute, written = now, 0
        for report in found[: max(0, options.per_minute - written)]:
            written += 1
            context.log({"level": "warning", "event": "csp_violation", "route": context.route, **report})
        await respond(scope, send, 204)

    return app


def reports(body: bytes) -> list[dict[str, Any]] | None:
    """What both forms of report say, in known fields and bounded texts; None for what is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    items = data if isinstance(data, list) else [data]
    found = []
    for item in items[:20]:
        if not isinstance(item, dict):
            return None
        inner = item.get("csp-report", item.get("body", item))
        if not isinstance(inner, dict):
            return None
        found.append({f: str(inner[f])[:TEXT] for f in FIELDS if isinstance(inner.get(f), str | int)})
    return found

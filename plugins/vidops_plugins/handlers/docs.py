"""`docs`: what this gateway answers, as OpenAPI for programs and as a page for people.

    GET /               the page
    GET /openapi.json   the document

Both are for those who may see all of the host, and made of the routes that are in force; a route whose handler
describes nothing (an application behind `proxy`) is not in them.
"""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    Receive,
    Scope,
    Send,
    respond,
    respond_json,
    respond_problem,
    restricted,
)
from vidops_plugins.handlers.openapi import assembled

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
h2 { font-size: 1rem; margin: 1.6rem 0 .3rem; } code { font: 14px ui-monospace, monospace; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600; color: #0b63a5; }
table { border-collapse: collapse; margin: .3rem 0 0 4.5rem; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
@media (prefers-color-scheme: dark) {
  body { background: #12161c; color: #dfe5ec; } .method, a { color: #6cb6f0; }
}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Docs(Options):
    """What the routes of this gateway answer: OpenAPI at `openapi.json`, and a page.

    All of them, whoever's they are: behind `tenant`, and for who is restricted by `authorize`, it answers 403.
    """

    title: str = "vidops"
    """What the document is called."""


def build(options: Docs, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        rest = scope["vidops.rest"] if scope["type"] == "http" else None
        if rest not in ("", "openapi.json"):
            await respond_problem(scope, send, 404, "there is / and openapi.json")
            return
        if restricted(scope):
            # It names every route of the gateway, and tenants by them.
            await respond_problem(scope, send, 403, "for those alone who may see all of this host", reason="NotAllowed")
            return
        document = assembled(options.title, context.version, context.routes())
        if rest:
            await respond_json(scope, send, document)
            return
        headers = [(b"content-security-policy", POLICY.encode()), (b"x-content-type-options", b"nosniff")]
        page = render(document, str(scope["path"]).rstrip("/"))
        await respond(scope, send, 200, page.encode(), content_type="text/html; charset=utf-8", headers=headers)

    return app


def render(document: dict[str, Any], here: str) -> str:
    """The page."""
    said = html.escape
    title = said(document["info"]["title"])
    lines = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>',
        f'<h1>{title}</h1><p>For programs: <a href="{said(here, quote=True)}/openapi.json">openapi.json</a></p>',
    ]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            lines.append(f'<h2><span class="method">{said(method.upper())}</span> <code>{said(path)}</code></h2>')
            lines.append(f"<div>{said(operation['summary'])}</div><table>")
            for parameter in operation["parameters"]:
                name, where = said(parameter["name"]), said(parameter["in"])
                lines.append(f"<tr><td><code>{name}</code> ({where})<td>{said(parameter['description'])}")
            for status, answer in operation["responses"].items():
                lines.append(f"<tr><td>{said(status)}<td>{said(answer['description'])}")
            lines.append("</table>")
    return "\n".join(lines)

"""A page that shows the stack at work: live cameras, every resource's state, recordings as they grow.

One self-contained page (nothing is fetched from elsewhere), served by Quart; its policy lets run the one script and
the one style sheet that are in it, by their hashes, and nothing else (CSP level 2).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vidops.api import ASGIApp, GatewayContext, Options
from vidops_plugins.handlers.quart_app import mounted, new_app

if TYPE_CHECKING:
    from quart.typing import ResponseReturnValue

Base = Annotated[str, Field(pattern=r"^(?:/[A-Za-z0-9._~-]+)+$")]


class Console(Options):
    """A page with live video, the state of every resource, and recordings. Its data come from other routes."""

    stream: Base = "/stream"
    """Where the gateway has its `stream` handler."""
    snapshot: Base = "/snapshot"
    """Where it has `snapshot`: beyond four cameras the page shows stills."""
    devices: Base = "/v1/devices"
    """Where it has `devices`."""
    status: Base = "/v1/status"
    """Where it has `status`."""
    recordings: Base = "/v1/recordings"
    """Where it has `recordings`."""


def build(options: Console, context: GatewayContext) -> ASGIApp:
    app = new_app("console", context)
    page, policy = render(options)
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    @app.get("/")
    async def index() -> ResponseReturnValue:
        return page, 200, headers

    return mounted(app)


def render(options: Console) -> tuple[str, str]:
    """The page and its Content-Security-Policy."""
    source = files(__package__)
    style, script, page = (source.joinpath(n).read_text("utf-8") for n in ("style.css", "app.js", "page.html"))
    config = html.escape(json.dumps(options.model_dump()), quote=True)
    page = page.replace("/*config*/", config).replace("/*style*/", style).replace("/*script*/", script)
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return page, "; ".join(f"{name} {value}" for name, value in policy.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""`/v1/devices` and `/v1/devices/<name>`: the cameras of this host and the state of each.

A small API that nobody calls a thousand times a second: Quart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidops.api import ASGIApp, GatewayContext, Options, may_see, nearest
from vidops_plugins.handlers.quart_app import document, mounted, new_app

if TYPE_CHECKING:
    from quart.typing import ResponseReturnValue

_NO_STORE = {"Cache-Control": "no-store"}


class Devices(Options):
    """Cameras as JSON: name, state, reason, size, frames a second, viewers, facts."""


def build(options: Devices, context: GatewayContext) -> ASGIApp:
    from quart import request

    app = new_app("devices", context)

    def seen() -> dict[str, dict[str, object]]:
        """What this request may know of, by name."""
        scope: Any = request.scope
        states = {str(state["name"]): dict(state) for state in context.cameras.states()}
        return {name: state for name, state in states.items() if may_see(scope, name)}

    @app.get("/")
    async def index() -> ResponseReturnValue:
        hub = "connected" if context.cameras.connected.is_set() else "does not answer"
        return {"devices": list(seen().values()), "hub": hub}, 200, _NO_STORE

    @app.get("/<name>")
    async def one(name: str) -> ResponseReturnValue:
        states = seen()
        if name in states:
            return states[name], 200, _NO_STORE
        near = nearest(name, states)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        return document(404, f"there is no camera {name!r}{hint}", reason="UnknownCamera", nearest=near)

    return mounted(app)

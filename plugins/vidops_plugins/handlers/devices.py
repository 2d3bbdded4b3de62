"""The cameras of this host: the state of each, and what can be asked of it.

    GET    /                        every camera
    GET    /<name>                  one
    GET    /<name>/controls         its device's controls and modes, as they are now
    PATCH  /<name>/controls         {"brightness": 128, "power_line_frequency": "50 Hz"}, with `writable: true`
    POST   /<name>/start, /stop     stay open without viewers, or not any more, with `writable: true`

A small API that nobody calls a thousand times a second: Quart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vidops.api import ASGIApp, GatewayContext, Options, PermanentError, TemporaryError, may_see, nearest
from vidops_plugins.handlers import camera_commands
from vidops_plugins.handlers.footage import same_site
from vidops_plugins.handlers.openapi import answer, fields, in_path, listed, operation, ref
from vidops_plugins.handlers.quart_app import document, mounted, new_app

if TYPE_CHECKING:
    from quart.typing import ResponseReturnValue

_NO_STORE = {"Cache-Control": "no-store"}


class Devices(Options):
    """Cameras as JSON: name, state, reason, size, frames a second, viewers, facts, controls."""

    writable: bool = False
    """Whether controls may be set and cameras held open here, by whoever the route's chain lets in."""


CROSS_SITE = "Another site's page."
NAME = in_path("name", "A camera's name.")
CONTROLS = answer(fields(device={"type": "string"}, controls=listed(ref("Control")), modes=listed({"type": "object"})))
VALUES = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": ["integer", "boolean", "string"]},
    "example": {"brightness": 128, "power_line_frequency": "50 Hz"},
}


def describe(options: Devices) -> Mapping[str, Mapping[str, Any]]:
    no_device = "It has no device with controls now."
    controls = {
        "get": operation("Its device's controls and modes.", CONTROLS, parameters=[NAME], refused={409: no_device})
    }
    found = {
        "": {"get": operation("Every camera.", answer(fields(devices=listed(ref("Camera")), hub={"type": "string"})))},
        "/{name}": {"get": operation("One camera.", answer(ref("Camera")), parameters=[NAME])},
        "/{name}/controls": controls,
    }
    if options.writable:
        refused = {403: CROSS_SITE, 409: no_device, 422: "A name or value does not fit."}
        controls["patch"] = operation("Set controls.", CONTROLS, parameters=[NAME], body=VALUES, refused=refused)
        for word, what in (("start", "Stay open without viewers."), ("stop", "Do not stay open any more.")):
            refused = {403: CROSS_SITE, 409: "It is always on."}
            found[f"/{{name}}/{word}"] = {
                "post": operation(what, answer(ref("Camera")), parameters=[NAME], refused=refused)
            }
    return found


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

    @app.get("/<name>/controls")
    async def controls(name: str) -> ResponseReturnValue:
        scope: Any = request.scope
        return dict(await camera_commands.told(scope, context, name)), 200, _NO_STORE

    @app.errorhandler(PermanentError)
    async def refused(error: PermanentError) -> ResponseReturnValue:
        return document(camera_commands.STATUS.get(error.reason, 409), str(error), reason=error.reason)

    @app.errorhandler(TemporaryError)
    async def not_now(error: TemporaryError) -> ResponseReturnValue:
        return document(503, str(error), reason=error.reason, headers={"Retry-After": "2"})

    if not options.writable:
        return mounted(app)

    @app.before_request
    async def ours() -> ResponseReturnValue | None:
        scope: Any = request.scope
        if request.method not in ("GET", "HEAD", "OPTIONS") and not same_site(scope):
            return document(403, "another site's page may not do this", reason="CrossSite")
        return None

    @app.patch("/<name>/controls")
    async def set_controls(name: str) -> ResponseReturnValue:
        scope: Any = request.scope
        try:
            values = json.loads(await request.get_data())
        except (ValueError, RecursionError):
            values = None
        return dict(await camera_commands.set_controls(scope, context, name, values)), 200, _NO_STORE

    @app.post("/<name>/<any(start, stop):word>")
    async def hold(name: str, word: str) -> ResponseReturnValue:
        scope: Any = request.scope
        return dict(await camera_commands.hold(scope, context, name, on=word == "start")), 200, _NO_STORE

    return mounted(app)

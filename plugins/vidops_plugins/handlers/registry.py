"""`/devices` as a capture daemon's registry has it: each device with the runners that record it.

Devices come from the hub, runners from the control plane: without that, runners are `null`, which is not "none".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vidops.api import ASGIApp, GatewayContext, Options, TemporaryError, may_see, nearest
from vidops_plugins.handlers.openapi import answer, fields, in_path, listed, operation
from vidops_plugins.handlers.quart_app import document, mounted, new_app

if TYPE_CHECKING:
    from quart.typing import ResponseReturnValue

_NO_STORE = {"Cache-Control": "no-store"}
RUNNER_STATES = {
    "Healthy": "running",
    "Progressing": "starting",
    "Suspended": "stopped",
    "Degraded": "failed",
    "Missing": "failed",
}
FACTS = ("device_path", "device_name", "driver", "bus_info", "serial", "usb_id")


class Registry(Options):
    """Devices and their runners, as JSON: what records them, since which process, and why it does not."""


def describe(options: Registry) -> Mapping[str, Mapping[str, Any]]:
    device = {"type": "object", "required": ["name", "state", "runners"]}
    name = in_path("name", "A camera's name.")
    return {
        "": {"get": operation("Every camera, with what records it.", answer(fields(devices=listed(device))))},
        "/{name}": {"get": operation("One camera.", answer(device), parameters=[name])},
    }


def build(options: Registry, context: GatewayContext) -> ASGIApp:
    from quart import request

    app = new_app("registry", context)

    def seen() -> dict[str, Mapping[str, Any]]:
        """What this request may know of, by name."""
        scope: Any = request.scope
        states = {str(state["name"]): state for state in context.cameras.states()}
        return {name: state for name, state in states.items() if may_see(scope, name)}

    @app.get("/")
    async def index() -> ResponseReturnValue:
        runners = await _runners(context)
        return {"devices": [_device(state, runners) for state in seen().values()]}, 200, _NO_STORE

    @app.get("/<name>")
    async def one(name: str) -> ResponseReturnValue:
        states = seen()
        if name in states:
            return _device(states[name], await _runners(context)), 200, _NO_STORE
        near = nearest(name, states)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        return document(404, f"there is no device {name!r}{hint}", reason="UnknownCamera", nearest=near)

    return mounted(app)


async def _runners(context: GatewayContext) -> dict[str, list[dict[str, Any]]] | None:
    """The captures of each camera; None while no control plane tells."""
    try:
        status = await context.control.status()
    except TemporaryError:
        return None
    found: dict[str, list[dict[str, Any]]] = {}
    resources = status.get("resources")
    for resource in resources if isinstance(resources, list) else ():
        if resource.get("kind") == "capture":
            camera = str(resource.get("facts", {}).get("camera", ""))
            found.setdefault(camera, []).append(_runner(resource))
    return found


def _runner(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": resource["name"],
        "state": RUNNER_STATES.get(str(resource.get("health")), "starting"),
        "reason": resource.get("reason", ""),
        "message": resource.get("message", ""),
        "pid": resource.get("pid") or None,
        "restarts": resource.get("restarts", 0),
        "bytes": resource.get("facts", {}).get("progress", 0),
    }


def _device(state: Mapping[str, Any], runners: Mapping[str, list[dict[str, Any]]] | None) -> dict[str, Any]:
    description = state.get("description")
    facts = description if isinstance(description, Mapping) else {}
    return {
        "name": state["name"],
        "state": state.get("state", ""),
        "reason": state.get("reason", ""),
        "message": state.get("message", ""),
        **{fact: facts.get(fact, "") for fact in FACTS},
        "width": state.get("width", 0),
        "height": state.get("height", 0),
        "fps": state.get("captured_fps", 0),
        "runners": None if runners is None else runners.get(str(state["name"]), []),
    }

"""What may be asked of a camera besides its pictures: its device's controls and modes, and to stay open.

Shared by the HTTP API (`devices`) and the WebSocket (`control`). Whoever may not do it is told that there is no such
camera, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vidops.api import GatewayContext, PermanentError, Scope, may_do, nearest

Values = Mapping[str, bool | int | str]
MOST = 200
LONGEST = 64
STATUS = {"UnknownCamera": 404, "NoControls": 409, "AlwaysOn": 409, "ControlRefused": 422, "BadRequest": 400}
"""HTTP's word for each refusal."""


async def told(scope: Scope, context: GatewayContext, camera: str) -> Mapping[str, Any]:
    """`device`, `controls`, `modes`. Raises `PermanentError`, `TemporaryError`."""
    _may(scope, context, camera)
    return await context.cameras.controls(camera)


async def set_controls(scope: Scope, context: GatewayContext, camera: str, values: object) -> Mapping[str, Any]:
    """Set some and give all. Raises as `told`, and ControlRefused with everything that is wrong."""
    _may(scope, context, camera)
    return await context.cameras.set_controls(camera, _checked(values))


async def hold(scope: Scope, context: GatewayContext, camera: str, *, on: bool) -> Mapping[str, Any]:
    """Have a camera stay open, or not any more. Gives its state. Raises as `told`, and AlwaysOn."""
    _may(scope, context, camera)
    return await context.cameras.hold(camera, on=on)


def _may(scope: Scope, context: GatewayContext, camera: str) -> None:
    if not context.cameras.knows(camera) or not may_do(scope, "controls", camera):
        names = [str(s["name"]) for s in context.cameras.states() if may_do(scope, "controls", str(s["name"]))]
        near = nearest(camera, names)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise PermanentError(f"there is no camera {camera[:100]!r} to control{hint}", reason="UnknownCamera")


def _checked(values: object) -> Values:
    fits = isinstance(values, dict) and 0 < len(values) <= MOST
    if not isinstance(values, dict) or not fits or not all(_is_value(v) for v in values.values()):
        text = "say what to set as a JSON object: control names, each with a number, true or false, or a menu entry"
        raise PermanentError(text, reason="BadRequest")
    return {str(name)[:LONGEST]: value for name, value in values.items()}


def _is_value(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 63)

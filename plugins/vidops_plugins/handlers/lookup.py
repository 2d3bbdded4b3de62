"""Which camera a request means, and the answer where it means none."""

from __future__ import annotations

from vidops.api import GatewayContext, Scope, Send, may_do, nearest, respond_problem


async def refused_as_write(scope: Scope, send: Send) -> bool:
    """Whether a request was refused, since it would do anything else than read."""
    if scope["type"] != "http":
        await respond_problem(scope, send, 400, "this is no WebSocket")
        return True
    if scope["method"] not in ("GET", "HEAD"):
        allow = [(b"allow", b"GET, HEAD")]
        await respond_problem(scope, send, 405, "this path answers GET, HEAD", headers=allow)
        return True
    return False


async def camera_of(scope: Scope, send: Send, context: GatewayContext, default: str | None = None) -> str | None:
    """The camera that the rest of the path names; None where the request has been answered with a problem.

    A hub that has not been reached yet says nothing of which cameras there are: that is 503, not 404.
    """
    if await refused_as_write(scope, send):
        return None
    name = str(scope["vidops.rest"]) or default or ""
    cameras = context.cameras
    if cameras.knows(name) and may_do(scope, "streams", name):
        return name
    if not cameras.connected.is_set():
        retry = [(b"retry-after", b"2")]
        detail = "the hub does not answer, so which cameras there are is not known"
        await respond_problem(scope, send, 503, detail, reason="HubDown", headers=retry)
        return None
    # A camera that is not this request's is not there, and is no hint either.
    known = [
        camera for camera in (str(state["name"]) for state in cameras.states()) if may_do(scope, "streams", camera)
    ]
    near = nearest(name, known)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    detail = f"there is no camera {name!r}{hint}" if name else "the path names no camera"
    await respond_problem(scope, send, 404, detail, reason="UnknownCamera", nearest=near)
    return None

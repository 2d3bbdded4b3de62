"""`/snapshot/<camera>`: one JPEG, captured after the request came."""

from __future__ import annotations

from vidops.api import (
    ASGIApp,
    CameraName,
    GatewayContext,
    Options,
    PermanentError,
    PositiveDuration,
    Receive,
    Scope,
    Send,
    TemporaryError,
    query,
    respond,
    respond_problem,
)
from vidops_plugins.handlers import lookup, viewing

_NO_STORE = (b"cache-control", b"no-store")


class Snapshot(Options):
    """One fresh image of the camera that the rest of the path names; `?action=stream` gives live video."""

    camera: CameraName | None = None
    """The camera to show where the path names none, as in `/?action=snapshot`."""
    timeout: PositiveDuration = "10s"  # type: ignore[assignment]
    """How long a camera may take to deliver the image."""


def build(options: Snapshot, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        camera = await lookup.camera_of(scope, send, context, options.camera)
        if camera is None:
            return
        if query(scope).get("action") == "stream" and scope["method"] != "HEAD":
            await viewing.watch(scope, receive, send, camera=camera, patience=options.timeout, context=context)
        else:
            await send_image(scope, send, camera=camera, timeout=options.timeout, context=context)

    return app


async def send_image(scope: Scope, send: Send, *, camera: str, timeout: float, context: GatewayContext) -> None:
    """Answer with an image captured from now on, within `timeout` seconds."""
    if scope["method"] == "HEAD":
        # Opening a camera for nobody to see would be a side effect.
        await respond(scope, send, 200, content_type="image/jpeg", headers=[_NO_STORE])
        return
    try:
        frame = await context.cameras.snapshot(camera, timeout)
    except PermanentError as error:
        await respond_problem(scope, send, 404, str(error), reason=error.reason)
    except TemporaryError as error:
        retry = [(b"retry-after", b"2")]
        await respond_problem(scope, send, 503, str(error), reason=error.reason, headers=retry)
    else:
        headers = [
            _NO_STORE,
            (b"x-timestamp", b"%.6f" % frame.timestamp),
            (b"x-sequence", b"%d" % frame.sequence),
        ]
        await respond(scope, send, 200, frame.data, content_type="image/jpeg", headers=headers)

"""`/stream/<camera>`: live video as multipart JPEG, which every browser shows in an `<img>`.

Raw ASGI, since this is the hot path: one part is built a frame, whatever the number of viewers, and over plain
HTTP/1.1 it goes straight to each connection's transport. Over TLS and HTTP/2 it goes through `send`.
"""

from __future__ import annotations

from vidops.api import (
    ASGIApp,
    CameraName,
    GatewayContext,
    Options,
    PositiveDuration,
    Receive,
    Scope,
    Send,
    query,
    respond,
)
from vidops_plugins.handlers import lookup, viewing
from vidops_plugins.handlers.snapshot import send_image


class Stream(Options):
    """Live video of the camera that the rest of the path names; `?action=snapshot` gives one image."""

    camera: CameraName | None = None
    """The camera to show where the path names none, as in `/?action=stream`."""
    start_timeout: PositiveDuration = "30s"  # type: ignore[assignment]
    """How long a viewer waits for the first frame of a camera that says nothing of what keeps it."""


def build(options: Stream, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        camera = await lookup.camera_of(scope, send, context, options.camera)
        if camera is None:
            return
        if query(scope).get("action") == "snapshot":
            await send_image(scope, send, camera=camera, timeout=options.start_timeout, context=context)
        elif scope["method"] == "HEAD":
            # Opening a camera for nobody to see would be a side effect.
            await respond(scope, send, 200, content_type=viewing.CONTENT_TYPE, headers=viewing.HEADERS)
        else:
            await viewing.watch(scope, receive, send, camera=camera, patience=options.start_timeout, context=context)

    return app

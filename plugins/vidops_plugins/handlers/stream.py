"""`/stream/<camera>`: live video as multipart JPEG, which every browser shows in an `<img>`.

Raw ASGI, since this is the hot path: one part is built a frame, whatever the number of viewers, and over plain
HTTP/1.1 it goes straight to each connection's transport. Over TLS and HTTP/2 it goes through `send`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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
    respond_problem,
)
from vidops_plugins.handlers import lookup, video, viewing
from vidops_plugins.handlers.fanout import AS_IT_IS, Shape
from vidops_plugins.handlers.openapi import answer, in_path, in_query, operation
from vidops_plugins.handlers.snapshot import send_image


class Stream(Options):
    """Live video of the camera that the rest of the path names; `?action=snapshot` gives one image.

    `?width=` (pixels) and `?fps=` (frames a second) give less of it, shared by all who ask for the same; `?format=mp4`
    gives H.264 or HEVC as the camera delivers it.
    """

    camera: CameraName | None = None
    """The camera to show where the path names none, as in `/?action=stream`."""
    start_timeout: PositiveDuration = "30s"  # type: ignore[assignment]
    """How long a viewer waits for the first frame of a camera that says nothing of what keeps it."""


def describe(options: Stream) -> Mapping[str, Mapping[str, Any]]:
    video = answer({"type": "string"}, "A part a picture, without end.", "multipart/x-mixed-replace")
    asked = [
        in_path("name", "A camera's name."),
        in_query("width", "At most so wide.", type="integer", minimum=16, maximum=8192),
        in_query("fps", "At most so many pictures a second.", type="number", minimum=0.01, maximum=240),
        in_query("format", "JPEG parts, or the camera's own H.264 or HEVC.", enum=list(FORMATS)),
    ]
    return {"/{name}": {"get": operation("Live video of a camera.", video, parameters=asked)}}


LIMITS = {"width": (16, 8192), "fps": (0.01, 240)}
FORMATS = ("jpeg", "mp4")


def shape_of(asked: Mapping[str, str]) -> Shape:
    """`?width=` and `?fps=`. Raises `ValueError`, which says what would be right."""
    found: dict[str, Any] = {}
    for name, (least, most) in LIMITS.items():
        if name in asked:
            kind = "a whole number of pixels" if name == "width" else "a number of frames a second"
            text = f"{name} is {kind} between {least:g} and {most:g}"
            if not re.fullmatch(r"[0-9]{1,5}" if name == "width" else r"[0-9]{1,5}(\.[0-9]{1,6})?", asked[name]):
                raise ValueError(text)
            value = float(asked[name])
            if not least <= value <= most:
                raise ValueError(text)
            # Nearly the same is the same stream, to be shared.
            found[name] = int(value) // 2 * 2 if name == "width" else round(value, 2)
    return Shape(**found)


def build(options: Stream, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        camera = await lookup.camera_of(scope, send, context, options.camera)
        if camera is None:
            return
        asked = query(scope)
        form = asked.get("format", "jpeg")
        try:
            shape = shape_of(asked)
            if form not in FORMATS:
                raise ValueError(f"format is one of {', '.join(FORMATS)}")
            if form != "jpeg" and shape != AS_IT_IS:
                raise ValueError("width and fps are for JPEGs: mp4 is the camera's own video")
        except ValueError as error:
            await respond_problem(scope, send, 400, str(error), reason="BadQuery")
            return
        patience = options.start_timeout
        if asked.get("action") == "snapshot":
            await send_image(scope, send, camera=camera, timeout=patience, context=context)
        elif scope["method"] == "HEAD":
            # Opening a camera for nobody to see would be a side effect.
            kind = viewing.CONTENT_TYPE if form == "jpeg" else video.CONTENT_TYPE
            await respond(scope, send, 200, content_type=kind, headers=viewing.HEADERS)
        elif form == "mp4":
            await video.watch_video(scope, receive, send, camera=camera, patience=patience, context=context)
        else:
            await viewing.watch(scope, receive, send, camera=camera, patience=patience, context=context, shape=shape)

    return app

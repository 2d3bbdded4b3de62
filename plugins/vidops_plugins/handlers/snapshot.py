"""`/snapshot/<camera>`: one JPEG, captured after the request came; with `?max_age=2.5`, one that is not older than
that (`Age` says how old it is): many who ask often share one image."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

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
from vidops_plugins.handlers.openapi import answer, in_path, in_query, operation

OLDEST = 3600
"""Seconds."""
_NO_STORE = (b"cache-control", b"no-store")


class Snapshot(Options):
    """One fresh image of the camera that the rest of the path names, or with `?max_age=SECONDS` a recent one;
    `?action=stream` gives live video."""

    camera: CameraName | None = None
    """The camera to show where the path names none, as in `/?action=snapshot`."""
    timeout: PositiveDuration = "10s"  # type: ignore[assignment]
    """How long a camera may take to deliver the image."""


def describe(options: Snapshot) -> Mapping[str, Mapping[str, Any]]:
    image = answer({"type": "string", "contentMediaType": "image/jpeg"}, "A picture.", "image/jpeg")
    max_age = in_query("max_age", "How old it may be, in seconds.", type="number", minimum=0, maximum=OLDEST)
    found = operation("One picture of a camera.", image, parameters=[in_path("name", "A camera's name."), max_age])
    return {"/{name}": {"get": found}}


def build(options: Snapshot, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        camera = await lookup.camera_of(scope, send, context, options.camera)
        if camera is None:
            return
        asked = query(scope)
        max_age = _seconds(asked.get("max_age", "0"))
        if max_age is None:
            await respond_problem(
                scope, send, 400, f"max_age is seconds from 0 to {OLDEST}: ?max_age=2.5", reason="BadMaxAge"
            )
        elif asked.get("action") == "stream" and scope["method"] != "HEAD":
            await viewing.watch(scope, receive, send, camera=camera, patience=options.timeout, context=context)
        else:
            await send_image(scope, send, camera=camera, timeout=options.timeout, context=context, max_age=max_age)

    return app


def _seconds(text: str) -> float | None:
    """None where it is no number that makes sense."""
    if not re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", text):
        return None
    return seconds if (seconds := float(text)) <= OLDEST else None


async def send_image(
    scope: Scope, send: Send, *, camera: str, timeout: float, context: GatewayContext, max_age: float = 0.0
) -> None:
    """Answer with an image captured from now on or at most `max_age` seconds ago, within `timeout` seconds."""
    if scope["method"] == "HEAD":
        # Opening a camera for nobody to see would be a side effect.
        await respond(scope, send, 200, content_type="image/jpeg", headers=[_NO_STORE])
        return
    try:
        frame = await context.cameras.snapshot(camera, timeout, max_age)
    except PermanentError as error:
        await respond_problem(scope, send, 404, str(error), reason=error.reason)
    except TemporaryError as error:
        retry = [(b"retry-after", b"2")]
        await respond_problem(scope, send, 503, str(error), reason=error.reason, headers=retry)
    else:
        headers = [
            _NO_STORE,
            (b"age", b"%d" % max(0, time.time() - frame.timestamp)),
            (b"x-timestamp", b"%.6f" % frame.timestamp),
            (b"x-sequence", b"%d" % frame.sequence),
        ]
        await respond(scope, send, 200, frame.data, content_type="image/jpeg", headers=headers)

"""`/v1/recordings`: recordings as JSON, as a timeline, as a playlist; below it the files, growing ones included.

    GET    ?camera=&capture=&from=&to=&limit=    the list, newest first
    GET    ?view=timeline&from=&to=              when there is footage, and what is missing and why
    GET    ?view=hls&camera=&capture=&from=&to=  a playlist (HLS) of what was recorded then
    GET    /<path>                               a file; ?thumbnail=WIDTH its first picture
    POST   /<path>?keep=true|false               have retention leave it alone, or not any more
    DELETE /<path>                               delete it

Times are Unix seconds or ISO 8601. Raw ASGI, since files are sent with ranges (players seek) and chunk by chunk.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    Receive,
    Scope,
    Send,
    query,
    respond_problem,
)
from vidops_plugins.handlers import openapi
from vidops_plugins.handlers.files import open_below, send_file
from vidops_plugins.handlers.footage import change, listed, may_have, thumbnail
from vidops_plugins.handlers.openapi import answer, in_path, in_query, operation

SPOOL = ".spool"
_TYPES = {".mp4": "video/mp4", ".mkv": "video/x-matroska", ".ts": "video/mp2t", ".jpg": "image/jpeg"}


class Recordings(Options):
    """Recordings: lists, timelines, playlists, files and thumbnails."""

    writable: bool = False
    """Whether recordings may be kept from retention and deleted here, by whoever the route's chain lets in."""


def describe(options: Recordings) -> Mapping[str, Mapping[str, Any]]:
    rows = answer(
        openapi.fields(recordings=openapi.listed({"type": "object", "required": ["path", "camera", "start"]}))
    )
    asked = [
        in_query("camera", "Of this camera."),
        in_query("capture", "Of this capture."),
        in_query("from", "From then on: Unix seconds or ISO 8601."),
        in_query("to", "Until then."),
        in_query("limit", "So many at most.", type="integer", minimum=1, maximum=1000),
    ]
    refused = {409: "One of several captures has to be said."}
    found = {"": {"get": operation("Recordings, newest first.", rows, parameters=asked, refused=refused)}}
    path = in_path("path", "A recording's path.")
    file = answer({"type": "string"}, "The file, or a part of it.", "video/mp4")
    partial = {206: "A part of it.", 304: "It is as it was.", 409: "Not now.", 416: "There is no such part."}
    found["/{path}"] = {"get": operation("A recording.", file, parameters=[path], refused=partial)}
    return found


def build(options: Recordings, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        rest = str(scope.get("vidops.rest", ""))
        allowed = ["GET", "HEAD", *(["POST", "DELETE"] if options.writable and rest else [])]
        if scope["type"] != "http":
            await respond_problem(scope, send, 400, "this is no WebSocket")
        elif scope["method"] not in allowed:
            allow = [(b"allow", ", ".join(allowed).encode())]
            await respond_problem(scope, send, 405, f"this path answers {', '.join(allowed)}", headers=allow)
        elif rest and not await may_have(scope, context, rest):
            await respond_problem(scope, send, 404, "there is no such recording", reason="NoRecording")
        elif scope["method"] in ("POST", "DELETE"):
            await change(scope, send, context, rest)
        elif rest and "thumbnail" in query(scope):
            await thumbnail(scope, send, context, rest)
        elif rest:
            await _file(scope, send, context.layout.data_dir, rest)
        else:
            await listed(scope, send, context)

    return app


async def _file(scope: Scope, send: Send, root: str, path: str) -> None:
    kind = _TYPES.get(os.path.splitext(path)[1])
    segments = path.split("/")
    hidden = any(s.startswith(".") for s in (segments[1:] if segments[0] == SPOOL else segments))
    descriptor = -1 if kind is None or hidden else await asyncio.to_thread(open_below, root, segments)
    if descriptor < 0:
        await respond_problem(scope, send, 404, "there is no such recording")
        return
    growing = segments[0] == SPOOL
    try:
        # What a growing one gains later is asked for with a range.
        await send_file(
            scope,
            send,
            descriptor,
            content_type=str(kind),
            cache_control="no-store" if growing else "private, no-cache",
            validators=not growing,
        )
    finally:
        os.close(descriptor)

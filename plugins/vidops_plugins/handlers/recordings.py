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
from email.utils import formatdate
from stat import S_ISREG

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    Receive,
    Scope,
    Send,
    header,
    query,
    respond,
    respond_problem,
)
from vidops_plugins.handlers.footage import change, listed, may_have, thumbnail
from vidops_plugins.handlers.ranges import Range, parse_range

CHUNK = 256 * 1024
SPOOL = ".spool"
_TYPES = {".mp4": "video/mp4", ".mkv": "video/x-matroska", ".ts": "video/mp2t", ".jpg": "image/jpeg"}


class Recordings(Options):
    """Recordings: lists, timelines, playlists, files and thumbnails."""

    writable: bool = False
    """Whether recordings may be kept from retention and deleted here, by whoever the route's chain lets in."""


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
    try:
        await _send_file(scope, send, descriptor, str(kind), growing=segments[0] == SPOOL)
    finally:
        os.close(descriptor)


def open_below(root: str, segments: list[str]) -> int:
    """Open a regular file for reading, no symbolic link followed on the way from `root`; -1 where there is none."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    held = -1
    try:
        held = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        for index, segment in enumerate(segments):
            if segment in ("", ".", "..") or "\0" in segment:
                return -1
            deeper = 0 if index == len(segments) - 1 else os.O_DIRECTORY
            opened = os.open(segment, flags | deeper, dir_fd=held)
            os.close(held)
            held = opened
        if not S_ISREG(os.fstat(held).st_mode):
            return -1
        result, held = held, -1
        return result
    except OSError:
        return -1
    finally:
        if held >= 0:
            os.close(held)


async def _send_file(scope: Scope, send: Send, descriptor: int, kind: str, *, growing: bool) -> None:
    """The file as it is now: what a growing one gains later is asked for with a range."""
    info = os.fstat(descriptor)
    tag = f'"{info.st_ino:x}-{info.st_size:x}-{info.st_mtime_ns:x}"'.encode()
    headers = [(b"accept-ranges", b"bytes"), (b"last-modified", formatdate(info.st_mtime, usegmt=True).encode())]
    if growing:
        headers.append((b"cache-control", b"no-store"))
    else:
        headers += [(b"etag", tag), (b"cache-control", b"private, no-cache")]
        if header(scope, b"if-none-match") == tag:
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
    asked = (header(scope, b"range") or b"").decode("latin-1")
    since = header(scope, b"if-range")
    part = parse_range(asked, info.st_size) if since is None or (since == tag and not growing) else None
    if part is not None and not part.satisfiable:
        headers = [(b"content-range", b"bytes */%d" % info.st_size)]
        await respond(scope, send, 416, headers=headers)
        return
    whole = part or Range(0, info.st_size - 1)
    if part is not None:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.end, info.st_size)))
    fixed = [(b"content-type", kind.encode()), (b"content-length", b"%d" % whole.length)]
    await send({"type": "http.response.start", "status": 206 if part else 200, "headers": [*fixed, *headers]})
    await _send_bytes(scope, send, descriptor, whole)


async def _send_bytes(scope: Scope, send: Send, descriptor: int, part: Range) -> None:
    position = part.start
    while scope["method"] != "HEAD" and position <= part.end:
        data = await asyncio.to_thread(os.pread, descriptor, min(CHUNK, part.end + 1 - position), position)
        if not data:
            break  # cut shorter meanwhile; Hypercorn ends the connection, so that the client knows
        position += len(data)
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})

"""Files as answers: found without leaving their directory, with validators, ranges and bounded memory (RFC 9110)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from email.utils import formatdate, parsedate_to_datetime
from stat import S_ISREG

from vidops.api import Range, Scope, Send, header, parse_range, respond
from vidops_plugins.handlers.portion import PROMPT, Portion

FIRST = 64 * 1024
"""Bytes of a file that are sent at first."""


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


async def send_file(
    scope: Scope,
    send: Send,
    descriptor: int,
    *,
    content_type: str,
    cache_control: str,
    validators: bool = True,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """The file as it is now, or the part of it that is asked for. `validators` false: it changes while it is read."""
    info = os.fstat(descriptor)
    tag = f'"{info.st_ino:x}-{info.st_size:x}-{info.st_mtime_ns:x}"'.encode()
    modified = int(info.st_mtime)
    fields = [
        (b"accept-ranges", b"bytes"),
        (b"last-modified", formatdate(modified, usegmt=True).encode()),
        (b"cache-control", cache_control.encode()),
        *headers,
    ]
    if validators:
        fields.append((b"etag", tag))
        if not_modified(scope, tag, modified):
            await send({"type": "http.response.start", "status": 304, "headers": fields})
            await send({"type": "http.response.body", "body": b""})
            return
    asked = (header(scope, b"range") or b"").decode("latin-1")
    since = header(scope, b"if-range")
    part = parse_range(asked, info.st_size) if since is None or (since == tag and validators) else None
    if part is not None and not part.satisfiable:
        await respond(scope, send, 416, headers=[(b"content-range", b"bytes */%d" % info.st_size)])
        return
    whole = part or Range(0, info.st_size - 1)
    if part is not None:
        fields.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.end, info.st_size)))
    fixed = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % whole.length)]
    await send({"type": "http.response.start", "status": 206 if part else 200, "headers": [*fixed, *fields]})
    await _send_bytes(scope, send, descriptor, whole)


def not_modified(scope: Scope, tag: bytes, modified: int) -> bool:
    """Whether what the client has is what it would get (RFC 9110, 13.1.2 and 13.1.3)."""
    known = header(scope, b"if-none-match")
    if known is not None:
        tags = [t.strip().removeprefix(b"W/") for t in known.split(b",")]
        return known.strip() == b"*" or tag in tags
    since = header(scope, b"if-modified-since")
    if since is None:
        return False
    try:
        return modified <= parsedate_to_datetime(since.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return False


async def _send_bytes(scope: Scope, send: Send, descriptor: int, part: Range) -> None:
    position, portion = part.start, Portion(FIRST)
    while scope["method"] != "HEAD" and position <= part.end:
        data = await _read(descriptor, min(portion.size, part.end + 1 - position), position)
        if not data:
            break  # cut shorter meanwhile; the server ends the connection, so that the client knows
        position += len(data)
        more = position <= part.end
        began = time.monotonic()
        await send({"type": "http.response.body", "body": data, "more_body": more})
        if not more:
            return
        portion.passed(len(data), quickly=time.monotonic() - began < PROMPT)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read(descriptor: int, count: int, position: int) -> bytes:
    """At once where the kernel has it in memory (preadv2(2)); a disk is waited for in a thread."""
    # Its end in memory, so is what is before it. An error: it would have to wait, or the file system cannot tell.
    with contextlib.suppress(OSError):
        if os.preadv(descriptor, [bytearray(1)], position + count - 1, os.RWF_NOWAIT):
            return os.pread(descriptor, count, position)
    return await asyncio.to_thread(os.pread, descriptor, count, position)

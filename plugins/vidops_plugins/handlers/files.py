"""Files as answers: found without leaving their directory, with validators, ranges and bounded memory (RFC 9110)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from email.utils import formatdate, parsedate_to_datetime
from stat import S_ISREG

from vidops.api import Range, Scope, Send, header, parse_range, respond, respond_problem
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
    tag = f'"{info.st_ino:x}-{info.st_size:x}-{info.st_mtime_ns:x}"'.encode() if validators else b""
    modified = int(info.st_mtime)
    date = formatdate(modified, usegmt=True).encode()
    if not as_expected(scope, tag, modified):
        await respond_problem(scope, send, 412, "the file is not what it is expected to be")
        return
    fields = [
        (b"accept-ranges", b"bytes"),
        (b"last-modified", date),
        (b"cache-control", cache_control.encode()),
        *headers,
    ]
    if validators:
        fields.append((b"etag", tag))
        if not_modified(scope, tag, modified):
            await send({"type": "http.response.start", "status": 304, "headers": fields})
            await send({"type": "http.response.body", "body": b""})
            return
    part = None
    # Other methods know no ranges (RFC 9110, 14.2). What was changed within this second may be changed again within it.
    since = header(scope, b"if-range")
    same = since is None or (validators and (since == tag or (since == date and time.time() - modified >= 1)))
    if same and scope["method"] == "GET":
        part = parse_range((header(scope, b"range") or b"").decode("latin-1"), info.st_size)
    if part is not None and not part.satisfiable:
        await respond(scope, send, 416, headers=[(b"content-range", b"bytes */%d" % info.st_size)])
        return
    whole = part or Range(0, info.st_size - 1)
    if part is not None:
        fields.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.end, info.st_size)))
    fixed = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % whole.length)]
    await send({"type": "http.response.start", "status": 206 if part else 200, "headers": [*fixed, *fields]})
    await _send_bytes(scope, send, descriptor, whole)


def as_expected(scope: Scope, tag: bytes, modified: int) -> bool:
    """Whether the file is the one that a client means (RFC 9110, 13.1.1 and 13.1.4). `tag` empty: it has none."""
    wanted = header(scope, b"if-match")
    if wanted is not None:
        return wanted.strip() == b"*" or (tag != b"" and tag in [t.strip() for t in wanted.split(b",")])
    until = _moment(header(scope, b"if-unmodified-since"))
    return until is None or modified <= until


def not_modified(scope: Scope, tag: bytes, modified: int) -> bool:
    """Whether what the client has is what it would get (RFC 9110, 13.1.2 and 13.1.3)."""
    known = header(scope, b"if-none-match")
    if known is not None:
        tags = [t.strip().removeprefix(b"W/") for t in known.split(b",")]
        return known.strip() == b"*" or tag in tags
    since = _moment(header(scope, b"if-modified-since"))
    return since is not None and modified <= since


def _moment(value: bytes | None) -> float | None:
    """Of a date; None where it is none, which is not looked at."""
    try:
        return None if value is None else parsedate_to_datetime(value.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


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

"""What is stored, as an answer: all of it, a part, or that the client has it already."""

from __future__ import annotations

import time

from vidops.api import Scope, Send
from vidops_plugins.middleware.cache import ranges
from vidops_plugins.middleware.cache.fields import Fields, not_modified
from vidops_plugins.middleware.cache.rules import Stored

NAME = b"vidops"


async def respond(scope: Scope, send: Send, stored: Stored, why: bytes) -> None:
    """Send what is stored, or that the client has it already."""
    now = time.time()
    age = int(stored.age(now))
    note = b"; ".join((NAME, why, b"ttl=%d" % int(stored.lifetime - stored.age(now))))
    fields: list[tuple[bytes, bytes]] = [*stored.fields, (b"age", b"%d" % age), (b"cache-status", note)]
    if stored.status == 200 and not_modified(scope["headers"], stored.fields):
        # RFC 9110, 15.4.5: what a cache needs, and nothing of the content.
        left = (b"content-type", b"content-encoding", b"content-language", b"last-modified")
        await send({"type": "http.response.start", "status": 304, "headers": [f for f in fields if f[0] not in left]})
        await send({"type": "http.response.body", "body": b""})
        return
    status, body = stored.status, stored.body
    part = wanted(scope, stored)
    if part is not None:
        status, body = 206, body[part[0] : part[1] + 1]
        fields.append((b"content-range", b"bytes %d-%d/%d" % (*part, len(stored.body))))
    if status != 204:
        fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def wanted(scope: Scope, stored: Stored) -> tuple[int, int] | None:
    """The part of what is stored that is to be sent in the place of all of it."""
    if stored.status != 200 or scope["method"] != "GET" or ranges.whole(scope["headers"], stored.fields):
        return None
    return ranges.part(scope["headers"], len(stored.body))


def answerable(request: Fields, stored: Stored) -> bool:
    """Whether a request with `Range` has its answer in what is stored, without the upstream."""
    known = ranges.whole(request, stored.fields) or ranges.part(request, len(stored.body)) is not None
    return stored.status == 200 and (known or not_modified(request, stored.fields))

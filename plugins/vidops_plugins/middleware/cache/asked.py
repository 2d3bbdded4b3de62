"""A request as a cache sees it: what its answer belongs to, and to whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vidops.api import USER, Message, Receive, Scope, header, noted, tenant_of
from vidops_plugins.middleware.cache.disk import Key

if TYPE_CHECKING:
    from vidops_plugins.middleware.cache import Cache


def key_of(scope: Scope) -> Key:
    """What an answer belongs to: the tenant, the host that was asked, the path and the query."""
    tenant = tenant_of(scope)
    host = (header(scope, b"host") or b"").decode("latin-1").lower()
    # As it was written: what is decoded alike need not be one thing to an upstream.
    path, query = (scope[name].decode("latin-1") for name in ("raw_path", "query_string"))
    return (tenant.name if tenant is not None else "", host, path, query)


def url_of(scope: Scope) -> str:
    _, host, path, query = key_of(scope)
    return f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else "")


def authorized(scope: Scope) -> bool:
    """Whether an answer may be of one person alone: who asks was found out, or can be by a cookie."""
    fields = ("authorization", "cookie")
    return noted(scope, USER) is not None or any(header(scope, name.encode()) is not None for name in fields)


def targeted_by(options: Cache) -> tuple[bytes, ...]:
    """The names of the fields that say the rules before Cache-Control does, as they are in a header."""
    return tuple(name.lower().encode() for name in options.targeted)


def no_body() -> Receive:
    """What a client without a body sends, and stays."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive

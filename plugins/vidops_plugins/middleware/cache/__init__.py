"""`cache`: answers that may be used again are (RFC 9111, a shared cache). `rules` says which, `store` has them,
`exchange` talks to both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vidops.api import ASGIApp, GatewayContext, Options, PositiveDuration, Receive, Scope, Send, Size

if TYPE_CHECKING:
    from vidops_plugins.middleware.cache.disk import Disk


FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]


class Cache(Options):
    """Keeps answers and uses them again, as far as they allow it (RFC 9111)."""

    ttl: PositiveDuration | None = None
    """How long an answer that says nothing of its freshness is fresh. What says `no-store` or `private` never is."""
    max_size: Size = "64MiB"  # type: ignore[assignment]
    """Of all that is kept in memory, URLs included; the least recently used goes first. What is asked for by a URL of
    more than 2 KiB passes through."""
    disk: Size | None = None
    """Of all that is kept in a file of the state directory, too: it is there after a restart. Without it, none."""
    max_object: Size = "1MiB"  # type: ignore[assignment]
    """Of one answer's body; larger ones, and those that `max_size` has no room for, pass through."""
    collapse: PositiveDuration = "5s"  # type: ignore[assignment]
    """How long requests for the same wait for the first one's answer before they ask themselves."""
    targeted: Annotated[list[FieldName], Field(max_length=8)] = Field(default_factory=list)
    """Fields that say the rules for this cache in the place of `Cache-Control` and `Expires`, the first one that an
    answer has (RFC 9213): [CDN-Cache-Control]. Such a field that is not named here is passed on and means nothing."""


def build(options: Cache, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    # hishel, and redis with it, are imported with the first route that has a cache.
    from vidops_plugins.middleware.cache.exchange import Exchange
    from vidops_plugins.middleware.cache.kin import kin_of
    from vidops_plugins.middleware.cache.store import Store

    store, kin = Store(options.max_size), kin_of(context)
    if options.disk is not None:
        store.disk = _disk(options.disk, context)
    kin.join(store)

    async def leave() -> None:
        kin.leave(store)

    context.stopped.append(leave)

    def wrap(app: ASGIApp) -> ASGIApp:
        exchange = Exchange(app, store, options, context.log, kin=kin)
        context.stopped.append(exchange.close)

        async def cached(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await exchange.serve(scope, receive, send)
            else:
                await app(scope, receive, send)

        return cached

    return wrap


def _disk(limit: int, context: GatewayContext) -> Disk:
    from vidops_plugins.middleware.cache.disk import Disk

    folder = context.layout.cache_folder(context.process)
    disk = Disk(f"{folder}/{context.key}.db", limit, context.log, context.keys)
    context.started.append(disk.open)
    context.stopped.append(disk.close)
    return disk

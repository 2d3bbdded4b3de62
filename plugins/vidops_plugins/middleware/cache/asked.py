"""A request as a cache sees it: what its answer belongs to, and to whom."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidops.api import TENANT, USER, Message, Receive, Scope, header, noted
from vidops_plugins.middleware.cache.disk import Key
from vidops_plugins.middleware.cache.fields import Fields, directives

if TYPE_CHECKING:
    from vidops_plugins.middleware.cache import Cache


CONDITIONS = (b"if-none-match", b"if-modified-since")
LONGEST = 2048
"""Characters of a key."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came to the cache: links behind it may add to the scope.

    `key`: what an answer belongs to; the tenant, and the URL's scheme, host, path and query. `user`: who asks, as far
    as that was found out before.
    """

    key: Key
    url: str
    user: Any
    fields: Fields

    @classmethod
    def of(cls, scope: Scope) -> Asked:
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        # As it was written: what is decoded alike need not be one thing to an upstream.
        path, query = (scope[name].decode("latin-1") for name in ("raw_path", "query_string"))
        scheme = str(scope["scheme"])
        url = f"{scheme}://{host}{path}" + (f"?{query}" if query else "")
        return cls((tenant_in(scope), scheme, host, path, query), url, noted(scope, USER), scope["headers"])

    @property
    def personal(self) -> bool:
        """Whether an answer may be of one person alone: who asks was found out, or can be by a cookie."""
        return self.user is not None or any(name in (b"authorization", b"cookie") for name, _ in self.fields)

    @property
    def ordinary(self) -> bool:
        """Whether it is the answer alone that says whether that may be kept."""
        conditional = any(name in CONDITIONS for name, _ in self.fields)
        return not self.personal and not conditional and "no-store" not in directives(self.fields)

    @property
    def passes(self) -> bool:
        """Whether it is the upstream's alone: nothing is kept of its answer, and nothing that is kept answers it.

        A URL as long as that has been written for one person or one moment. An answer to what has a body may depend on
        it, whatever HTTP says of GET (RFC 9110, 9.3.1): it is nobody else's.
        """
        return sum(map(len, self.key)) > LONGEST or any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
            for name, value in self.fields
        )

    def still(self, scope: Scope) -> bool:
        """Whether what came after the cache has found out nothing more of who asks: an answer that depends on what the
        key does not have is nobody else's, whatever it says of itself."""
        return noted(scope, USER) == self.user and tenant_in(scope) == self.key[0]


def tenant_in(scope: Scope) -> str:
    """For whom it is asked, as far as anything in the chain has found out."""
    tenant = noted(scope, TENANT)
    return "" if tenant is None else str(tenant.name)


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

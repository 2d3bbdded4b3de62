"""Lets through who knows a key: `X-API-Key: <key>` or `Authorization: Bearer <key>`.

Keys are compared as digests, all of them, each in constant time: how long it takes says nothing of any key. The
headers that carried the key are not passed on.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import Annotated

from pydantic import Field

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    PermanentError,
    Receive,
    Scope,
    SecretRef,
    Send,
    respond_problem,
)

MIN_LENGTH = 16
_MAX_LENGTH = 4096
_CARRIERS = (b"x-api-key", b"authorization")


class ApiKey(Options):
    """Refuses requests without one of the keys (401)."""

    keys: Annotated[tuple[SecretRef, ...], Field(min_length=1)]
    """Where the keys are; each has at least 16 characters. Several make a change of keys without a gap."""


def build(options: ApiKey, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    digests = [_key_digest(context.secret(reference), reference) for reference in options.keys]
    challenge = [(b"www-authenticate", b'Bearer realm="vidops"'), (b"vary", b"authorization, x-api-key")]

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            offered = offered_key(scope["headers"])
            if offered is None or not known(offered, digests):
                detail = "no key: send X-API-Key or Authorization: Bearer" if offered is None else "not a valid key"
                await respond_problem(scope, send, 401, detail, headers=challenge)
                return
            headers = [(n, v) for n, v in scope["headers"] if n not in _CARRIERS]
            await app({**scope, "headers": headers}, receive, send)

        return guarded

    return wrap


def offered_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The one key of a request; None without any, or with several, which could mean different things to others."""
    found: list[bytes] = []
    for name, value in headers:
        if name == b"x-api-key":
            found.append(value.strip())
        elif name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            found.append(rest.strip() if scheme.lower() == b"bearer" else b"")
    return found[0] if len(found) == 1 and 0 < len(found[0]) <= _MAX_LENGTH else None


def known(offered: bytes, digests: Iterable[bytes]) -> bool:
    mine = hashlib.sha256(offered).digest()
    matched = False
    for digest in digests:
        matched |= hmac.compare_digest(mine, digest)
    return matched


def _key_digest(key: str, reference: SecretRef) -> bytes:
    if len(key) < MIN_LENGTH or key != key.strip():
        place = next(f"{n} {v}" for n, v in reference.model_dump(exclude_none=True).items())
        raise PermanentError(
            f"api_key: the key in {place} has fewer than {MIN_LENGTH} characters or begins or ends with a space",
            reason="WeakKey",
        )
    return hashlib.sha256(key.encode()).digest()

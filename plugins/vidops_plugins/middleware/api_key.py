"""Lets through who knows a key: `X-API-Key: <key>` or `Authorization: Bearer <key>`.

A key in X-API-Key is the request's, whatever Authorization holds: that may be for what comes after. Keys are compared
as digests, all of them, each in constant time: how long it takes says nothing of any key. No header with a key is
passed on; nor is Authorization where a key is enough (`optional`), as nobody looks at it any more.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

from pydantic import Field, model_validator

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Options,
    PermanentError,
    Receive,
    Scope,
    SecretRef,
    Send,
    User,
    respond_problem,
)
from vidops_plugins.middleware.alternatives import Way, is_known, note

MIN_LENGTH = 16
_MAX_LENGTH = 4096


class KeyClient(Options):
    """Somebody with keys of their own."""

    keys: tuple[SecretRef, ...] = ()
    """Where the keys are."""
    hashes: tuple[Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")], ...] = ()
    """Or their digests, which are no secret: `printf %s KEY | sha256sum`, after `sha256:`. Keys are random and long, so
    that nobody finds one from its digest (`openssl rand -hex 32`); passwords are for `basic`."""
    roles: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """The client's roles, for `authorize`."""

    @model_validator(mode="after")
    def _some(self) -> KeyClient:
        if not self.keys and not self.hashes:
            raise ValueError("a client has keys or hashes")
        return self


class ApiKey(Way):
    """Refuses requests without one of the keys (401)."""

    keys: tuple[SecretRef, ...] = ()
    """Where the keys are; each has at least 16 characters. Several make a change of keys without a gap."""
    clients: dict[Annotated[str, Field(min_length=1, max_length=200)], KeyClient] = Field(default_factory=dict)
    """Keys of clients that are told apart, by their names; their keys may be kept as hashes."""

    @model_validator(mode="after")
    def _some(self) -> ApiKey:
        if not self.keys and not self.clients:
            raise ValueError("give keys, or clients with keys of their own")
        return self


def build(options: ApiKey, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    holders = _holders(options, context)
    challenge = [(b"www-authenticate", b'Bearer realm="vidops"'), (b"vary", b"authorization, x-api-key")]

    def hides(field: tuple[bytes, bytes]) -> bool:
        name, value = field
        if name == b"authorization":
            return options.optional or known(_bearer(value), holders) is not None
        return name == b"x-api-key"

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            offered = offered_key(scope["headers"])
            user = known(offered, holders) if offered is not None else None
            if is_known(scope) or (user is None and options.optional and not _has_key(scope["headers"])):
                await app(scope, receive, send)
                return
            if user is None:
                detail = "no key, or several: send one, in X-API-Key or as Authorization: Bearer"
                if offered is not None:
                    detail = "not a valid key"
                await respond_problem(scope, send, 401, detail, headers=challenge)
                return
            note(scope, user, options)
            headers = [field for field in scope["headers"] if not hides(field)]
            await app({**scope, "headers": headers}, receive, send)

        return guarded

    return wrap


def offered_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The one key of a request; None without any, or with several, which could mean different things to others."""
    headers = list(headers)
    found = [value.strip() for name, value in headers if name == b"x-api-key"]
    if not found:
        found = [_bearer(value) for name, value in headers if name == b"authorization"]
    return found[0] if len(found) == 1 and 0 < len(found[0]) <= _MAX_LENGTH else None


def _bearer(value: bytes) -> bytes:
    """Of an Authorization header; empty for another scheme."""
    scheme, _, rest = value.partition(b" ")
    return rest.strip() if scheme.lower() == b"bearer" else b""


def _has_key(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether there is something that can be nothing else than a key: `Authorization` is for tokens, too."""
    return any(name == b"x-api-key" for name, _ in headers)


def known(offered: bytes, holders: Iterable[tuple[bytes, User]]) -> User | None:
    """Whose key it is. All are compared, whichever fits."""
    mine = hashlib.sha256(offered).digest()
    found: User | None = None
    for digest, user in holders:
        if hmac.compare_digest(mine, digest):
            found = user
    return found


def _holders(options: ApiKey, context: GatewayContext) -> list[tuple[bytes, User]]:
    def digests(references: Iterable[SecretRef]) -> Iterator[bytes]:
        return (_key_digest(context.secret(reference), reference) for reference in references)

    anybody = User("api-key", via="api_key")
    found = [(digest, anybody) for digest in digests(options.keys)]
    for name, client in options.clients.items():
        user = User(name, frozenset(client.roles), {}, "api_key")
        hashes = [bytes.fromhex(text.removeprefix("sha256:")) for text in client.hashes]
        found += [(digest, user) for digest in (*digests(client.keys), *hashes)]
    owners: dict[bytes, User] = {}
    for digest, user in found:
        if owners.setdefault(digest, user) != user:
            raise PermanentError(f"api_key: {owners[digest].name} and {user.name} have the same key", reason="SameKey")
    return found


def _key_digest(key: str, reference: SecretRef) -> bytes:
    if len(key) < MIN_LENGTH or key != key.strip():
        place = next(f"{n} {v}" for n, v in reference.model_dump(exclude_none=True).items())
        raise PermanentError(
            f"api_key: the key in {place} has fewer than {MIN_LENGTH} characters or begins or ends with a space",
            reason="WeakKey",
        )
    return hashlib.sha256(key.encode()).digest()

"""Where keys come from: given once, or fetched from the issuer, who changes them and is not always there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import WeakValueDictionary

from vidops.api import GatewayContext, PermanentError, TemporaryError, fetch
from vidops_plugins.authorities import authorities
from vidops_plugins.middleware.jwt.keyset import Keys, from_jwks, from_secret, from_text
from vidops_plugins.middleware.jwt.options import Jwt
from vidops_plugins.middleware.jwt.strict import strict_json

FIRST_RETRY = 1.0
"""Seconds until the next try of a fetch that failed; doubled up to the cooldown."""
MAX_BYTES = 256 * 1024

_shared: WeakValueDictionary[tuple[Any, ...], RemoteKeys] = WeakValueDictionary()
"""Routes with the same chain ask the issuer once."""


class KeySource(Protocol):
    async def current(self) -> Keys:
        """Raises `TemporaryError` where there are none now."""

    async def renewed(self, seen: Keys) -> Keys:
        """Keys for a token by one that `seen` lacks; the same where they have just been asked for."""


def key_source(options: Jwt, context: GatewayContext) -> KeySource:
    if options.secret is not None:
        return GivenKeys(from_secret(context.secret(options.secret), options.accepted))
    if options.keys is not None:
        return GivenKeys(from_text(context.secret(options.keys), options.accepted))
    if options.jwks_url is None:
        raise PermanentError("jwt: no keys", reason="InvalidOptions")
    cafile = authorities(options.cafile, context.base_dir, "jwt")
    remote = remote_keys(options.model_copy(update={"cafile": cafile}), context.log)
    context.started.append(remote.prefetch)
    return remote


def remote_keys(options: Jwt, log: Callable[[Mapping[str, Any]], None]) -> RemoteKeys:
    """`cafile` is a path from wherever the process is."""
    key = (
        id(asyncio.get_running_loop()), options.jwks_url, options.accepted, options.jwks_ttl, options.jwks_cooldown,
        options.jwks_stale, options.jwks_timeout, options.cafile,
    )  # fmt: skip
    if (known := _shared.get(key)) is not None:
        return known
    made = _shared[key] = RemoteKeys(options, log)
    return made


class GivenKeys:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def current(self) -> Keys:
        return self._keys

    async def renewed(self, seen: Keys) -> Keys:
        return self._keys


class RemoteKeys:
    """A JWK Set by its URL: one fetch at a time, at most as often as the cooldown allows.

    Fresh keys are taken as they are; older ones too, while they are fetched again beside the requests; those older
    than `jwks_ttl + jwks_stale` not any more.
    """

    def __init__(
        self, options: Jwt, log: Callable[[Mapping[str, Any]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        assert options.jwks_url is not None
        self._url = options.jwks_url
        self._options = options
        self._log = log
        self._clock = clock
        self._keys: Keys | None = None
        self._fetched = 0.0
        self._next_try = 0.0
        self._retry = FIRST_RETRY
        self._task: asyncio.Task[None] | None = None
        self.fetches = 0

    async def prefetch(self) -> None:
        """Begin, without waiting: an issuer that is away is no reason not to serve."""
        if self._keys is None:
            self._begin()

    async def current(self) -> Keys:
        age = self._clock() - self._fetched
        if self._keys is not None and age < self._options.jwks_ttl:
            return self._keys
        if self._keys is not None and age < self._options.jwks_ttl + self._options.jwks_stale:
            self._begin()
            return self._keys
        await self._wait()
        age = self._clock() - self._fetched
        if self._keys is None or age >= self._options.jwks_ttl + self._options.jwks_stale:
            # What is wrong, and where, is in the log, and not for clients.
            raise TemporaryError("the issuer's keys are not to be had now", reason="KeysUnavailable")
        return self._keys

    async def renewed(self, seen: Keys) -> Keys:
        if self._keys is seen and self._clock() - self._fetched >= self._options.jwks_cooldown:
            await self._wait()
        return self._keys or seen

    async def _wait(self) -> None:
        """For the fetch that runs, or one that may begin now. Whoever gives up waiting leaves it to the others."""
        self._begin()
        if self._task is not None:
            await asyncio.shield(self._task)

    def _begin(self) -> None:
        if self._task is None and self._clock() >= self._next_try:
            self._task = asyncio.get_running_loop().create_task(self._fetch(), name=f"keys of {self._url}")

    async def _fetch(self) -> None:
        """Never raises: what goes wrong is logged, and told to those who need keys."""
        self.fetches += 1
        try:
            keys = await self._load()
        except (TemporaryError, ValueError) as error:
            self._next_try = self._clock() + self._retry
            self._retry = min(self._retry * 2, max(FIRST_RETRY, self._options.jwks_cooldown))
            self._log({"level": "warning", "event": "jwks_failed", "url": self._url, "error": str(error)})
        else:
            if self._keys is None or keys.mark != self._keys.mark:
                kids = [key.kid for key in keys.keys]
                self._log({"level": "info", "event": "jwks", "url": self._url, "kids": kids, "skipped": keys.skipped})
            self._keys, self._fetched, self._retry = keys, self._clock(), FIRST_RETRY
            self._next_try = self._fetched
        finally:
            self._task = None

    async def _load(self) -> Keys:
        options = self._options
        headers = {"Accept": "application/jwk-set+json, application/json"}
        answer = await fetch(
            self._url, headers=headers, timeout=options.jwks_timeout, max_bytes=MAX_BYTES, cafile=options.cafile
        )
        if answer.status != 200:
            raise TemporaryError(f"{self._url}: HTTP {answer.status}", reason="Refused")
        keys = from_jwks(strict_json(answer.body), options.accepted)
        if not keys.keys:
            raise ValueError(f"{self._url}: no key in it may be used: {'; '.join(keys.skipped)[:500]}")
        # Unchanged keys stay the same object: what was verified by them stays so.
        return self._keys if self._keys is not None and self._keys.mark == keys.mark else keys

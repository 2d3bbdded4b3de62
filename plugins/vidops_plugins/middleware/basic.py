"""`basic`: name and password (RFC 7617), of which only hashes are kept.

A hash is made to be slow. It is computed in a thread, two at a time, and what it gave is remembered for a while under a
keyed digest of name and password. A refusal costs one look at each sort of hash that its users have (one, where all
were made alike), whether the name is known or not: how long it takes does not tell names apart. One client can fill
a share of what may wait, so that a stranger who tries passwords does not keep others out.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from pydantic import Field

from vidops.api import (
    ASGIApp,
    Duration,
    GatewayContext,
    Options,
    PermanentError,
    Receive,
    Scope,
    SecretRef,
    Send,
    User,
    network,
    respond_problem,
)
from vidops_plugins.middleware.alternatives import Way, is_known, note
from vidops_plugins.middleware.passwords import BadHashError, PasswordHash

MAX_CREDENTIALS = 1024
"""Bytes of name and password together."""
MAX_KNOWN = 1024
WORKERS = 2
MAX_WAITING = 64
"""Checks that wait for a thread: more at a time are no people."""
MAX_OF_CLIENT = 16
"""Those of one client (an address, of IPv6 the /64) among them."""
RETRY = 1
"""Seconds after which somebody who was sent away may try again: checks of a share take about as long."""

_pool: list[ThreadPoolExecutor] = []


class Account(Options):
    """Who may come in."""

    hash: SecretRef
    """Where the password's hash is: `$scrypt$...`, `$pbkdf2-sha256$...`, `$2y$...` (bcrypt) or `$argon2id$...`.
    `python3 -m vidops_plugins.middleware.passwords` makes one."""
    roles: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """The user's roles, for `authorize`."""


class Basic(Way):
    """Asks for name and password (401). Only over TLS: they are sent as they are."""

    users: Annotated[dict[Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]{1,200}$")], Account], Field(min_length=1)]
    """By name."""
    realm: Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f\x7f-\U0010ffff]{1,100}$')] = "vidops"
    """What a browser shows when it asks."""
    remember: Duration = "5m"  # type: ignore[assignment]
    """How long a good password is taken without computing its hash again; 0s never."""


class TooManyError(Exception):
    """Too many passwords are being looked at. `mine`: of the client that asks."""

    def __init__(self, mine: bool) -> None:
        super().__init__("too many passwords of yours at once" if mine else "too many passwords at once")
        self.mine = mine


class Checker:
    def __init__(
        self, users: Mapping[str, PasswordHash], remember: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._users = users
        self._remember = remember
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        self._waiting = Counter[str]()
        self._sorts = {one.sort: one for one in users.values()}

    async def knows(self, name: str, password: bytes, client: str = "") -> bool:
        """Raises `TooManyError`. `client`: whose share it is; empty where that is not known."""
        digest = hmac.digest(self._secret, name.encode() + b"\0" + password, hashlib.sha256)
        if self._known.get(digest, 0.0) > self._clock():
            return True
        task = self._checking.get(digest)
        if task is None:
            if client and self._waiting[client] >= MAX_OF_CLIENT:
                raise TooManyError(mine=True)
            if len(self._checking) >= MAX_WAITING:
                raise TooManyError(mine=False)
            coroutine = self._check(digest, name, password)
            task = self._checking[digest] = asyncio.get_running_loop().create_task(coroutine, name="password")
            self._waiting[client] += 1
            task.add_done_callback(lambda _: self._checked(digest, client))
        return await asyncio.shield(task)

    def _checked(self, digest: bytes, client: str) -> None:
        self._checking.pop(digest, None)
        self._waiting[client] -= 1
        if not self._waiting[client]:
            del self._waiting[client]

    async def _check(self, digest: bytes, name: str, password: bytes) -> bool:
        if not await asyncio.get_running_loop().run_in_executor(_workers(), self._fits, name, password):
            return False
        self._known[digest] = self._clock() + self._remember
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return True

    def _fits(self, name: str, password: bytes) -> bool:
        mine = self._users.get(name)
        if mine is not None and mine.fits(password):
            return True
        for sort, other in self._sorts.items():
            if mine is None or sort != mine.sort:
                other.fits(password)
        return False


def _workers() -> ThreadPoolExecutor:
    """Shared by all routes of the process: what hashes take of a host is bounded once."""
    if not _pool:
        _pool.append(ThreadPoolExecutor(WORKERS, thread_name_prefix="passwords"))
    return _pool[0]


def build(options: Basic, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    hashes = {name: _parsed(name, context.secret(account.hash)) for name, account in options.users.items()}
    users = {name: User(name, frozenset(account.roles), {}, "basic") for name, account in options.users.items()}
    checker = Checker(hashes, options.remember)
    challenge = [
        (b"www-authenticate", f'Basic realm="{options.realm}", charset="UTF-8"'.encode()),
        (b"vary", b"authorization"),
    ]

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            given = credentials([value for name, value in scope["headers"] if name == b"authorization"])
            if is_known(scope) or (given is None and options.optional):
                await app(scope, receive, send)
                return
            try:
                good = given is not None and await checker.knows(*given, network((scope.get("client") or ("",))[0]))
            except TooManyError as error:
                retry = [(b"retry-after", b"%d" % RETRY)]
                status = 429 if error.mine else 503
                await respond_problem(scope, send, status, str(error), reason="TooManyRequests", headers=retry)
                return
            if given is None or not good:
                detail = "name and password are needed" if given is None else "not a name with its password"
                await respond_problem(scope, send, 401, detail, headers=challenge)
                return
            note(scope, users[given[0]], options)
            headers = [(n, v) for n, v in scope["headers"] if n != b"authorization"]
            await app({**scope, "headers": headers}, receive, send)

        return guarded

    return wrap


def credentials(values: list[bytes]) -> tuple[str, bytes] | None:
    """Name and password of a request's Authorization headers; None without, or with several."""
    if len(values) != 1 or len(values[0]) > 2 * MAX_CREDENTIALS:
        return None
    scheme, _, text = values[0].partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        data = base64.b64decode(text.strip(), validate=True)
        name, colon, password = data.partition(b":")
        return (name.decode(), password) if colon and len(data) <= MAX_CREDENTIALS else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _parsed(name: str, text: str) -> PasswordHash:
    try:
        return PasswordHash.parse(text.strip())
    except BadHashError as error:
        raise PermanentError(f"basic: the hash of {name!r}: {error}", reason="WeakHash") from None
    except PermanentError as error:
        raise PermanentError(f"basic: the hash of {name!r}: {error}", reason=error.reason) from None

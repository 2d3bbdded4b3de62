"""The middleware: find the token, verify it once, keep what it says for as long as it is valid."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from vidops.api import ASGIApp, GatewayContext, Receive, Scope, Send, User, respond_problem
from vidops_plugins.middleware.alternatives import is_known, note
from vidops_plugins.middleware.jwt.keys import KeySource, key_source
from vidops_plugins.middleware.jwt.keyset import Keys
from vidops_plugins.middleware.jwt.options import Jwt
from vidops_plugins.middleware.jwt.sources import SeveralTokensError, find_token, without_token
from vidops_plugins.middleware.jwt.verify import (
    InvalidTokenError,
    check_claims,
    check_signature,
    parse,
    scopes_of,
    user_of_claims,
    valid_during,
)

MAX_KNOWN = 4096
"""Verified tokens that are remembered: some 10 MB where each has a kilobyte of claims."""


@dataclass(frozen=True, slots=True)
class Known:
    """`since`, `until`: when its times let it pass."""

    user: User
    scopes: frozenset[str]
    keys: Keys
    since: float
    until: float


class Verifier:
    """Tokens to users. What was verified is remembered by its digest, as long as the keys stay; its times are looked
    at each time."""

    def __init__(self, options: Jwt, source: KeySource, now: Callable[[], float] = time.time) -> None:
        self._options = options
        self._source = source
        self._now = now
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    async def verify(self, token: bytes) -> Known:
        """Raises `InvalidTokenError`, or `TemporaryError` where there are no keys."""
        keys = await self._source.current()
        digest = hashlib.sha256(token).digest()
        known = self._known.get(digest)
        if known is None or known.keys is not keys:
            known = await self._verified(token, keys)
            self._known[digest] = known
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
            if not known.since <= (now := self._now()) < known.until:
                check_claims(known.user.claims, self._options, now)  # which says what is wrong
        return known

    async def _verified(self, token: bytes, keys: Keys) -> Known:
        parsed = parse(token, self._options)
        # Before its signature: an old token by an old key is no reason to ask the issuer for new ones.
        check_claims(parsed.claims, self._options, self._now())
        key = keys.find(parsed.algorithm, parsed.kid)
        if key is None:
            keys = await self._source.renewed(keys)
            key = keys.find(parsed.algorithm, parsed.kid)
        if key is None:
            raise InvalidTokenError("by a key that the issuer does not have")
        check_signature(parsed, key)
        user = user_of_claims(parsed.claims, self._options, "jwt")
        return Known(user, scopes_of(parsed.claims), keys, *valid_during(parsed.claims, self._options))


def build(options: Jwt, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    verifier = Verifier(options, key_source(options, context))
    needed = frozenset(options.scopes)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if is_known(scope):
                await app(scope, receive, send)
                return
            try:
                token = find_token(scope, options.from_)
            except SeveralTokensError:
                await _refuse(scope, send, 400, "several tokens in one request", error="invalid_request")
                return
            if token is None and options.optional:
                await app(scope, receive, send)
                return
            if token is None:
                await _refuse(scope, send, 401, "no token: send Authorization: Bearer")
                return
            try:
                known = await verifier.verify(token)
            except InvalidTokenError as error:
                await _refuse(scope, send, 401, f"not a valid token: {error}", error="invalid_token")
                return
            if missing := needed - known.scopes:
                scopes = " ".join(sorted(needed))
                detail = f"the token lacks {' '.join(sorted(missing))}"
                await _refuse(scope, send, 403, detail, error="insufficient_scope", needed=scopes)
                return
            note(scope, known.user, options)
            hidden = {} if options.forward else without_token(scope, options.from_)
            await app({**scope, **hidden}, receive, send)

        return guarded

    return wrap


async def _refuse(scope: Scope, send: Send, status: int, detail: str, **challenge: str) -> None:
    """With a challenge as RFC 6750 (section 3) has it."""
    fields = {"realm": "vidops", **challenge}
    if "needed" in fields:
        fields["scope"] = fields.pop("needed")
    if challenge.get("error") == "invalid_token":
        fields["error_description"] = detail
    text = ", ".join(f'{name}="{_quotable(value)}"' for name, value in fields.items())
    headers = [(b"www-authenticate", f"Bearer {text}".encode("ascii")), (b"vary", b"authorization, cookie")]
    more = {"error": challenge["error"]} if "error" in challenge else {}
    await respond_problem(scope, send, status, detail, headers=headers, **more)


def _quotable(text: str) -> str:
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)

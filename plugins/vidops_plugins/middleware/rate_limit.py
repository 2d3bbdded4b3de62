"""How often somebody may ask: GCRA, the law of a leaky bucket with one number a key, by the library throttled-py.

In memory, the number of keys is bounded: the one that has not asked for longest is forgotten first. In Redis, gateways
and hosts share what they have counted.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import Field, field_validator

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Message,
    Options,
    PermanentError,
    PositiveDuration,
    Receive,
    Scope,
    SecretRef,
    Send,
    header,
    network,
    respond_problem,
    tenant_of,
    user_of,
)

OUTAGE_PAUSE = 1.0
"""Seconds in which a Redis that did not answer is not asked again."""


class Redis(Options):
    """Where counts are shared."""

    url: Annotated[str, Field(pattern=r"^(?:rediss?://[^\s@]{1,300}|unix:///[^\s@]{1,200})$")]
    """redis://HOST:PORT/DB, rediss:// for TLS, or unix:///PATH; without a password."""
    password: SecretRef | None = None
    timeout: PositiveDuration = "200ms"  # type: ignore[assignment]
    """How long its answer is waited for."""
    on_outage: Literal["allow", "refuse"] = "allow"
    """What happens to requests while it does not answer: let them through, or answer 503."""


class RateLimit(Options):
    """Refuses more requests than agreed (429), and says how many are left."""

    limit: Annotated[int, Field(ge=1, le=1_000_000_000)]
    """Requests in a period."""
    per: PositiveDuration = "1m"  # type: ignore[assignment]
    """The period: whole seconds."""
    burst: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Requests at once, before the rate counts; without it, a whole period's."""
    by: Annotated[str, Field(pattern=r"^(client|user|tenant|route|header:[A-Za-z0-9-]{1,60})$")] = "client"
    """Whose requests are counted together: client (an address, of IPv6 the /64), user, tenant, route (everybody's), or
    header:NAME. Who has no user, tenant or header is counted by address."""
    keys: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    """How many of them are told apart, without Redis; about 400 bytes each."""
    redis: Redis | None = None

    @field_validator("per")
    @classmethod
    def _whole(cls, value: float) -> float:
        if value < 1 or value != int(value):
            raise ValueError("whole seconds: 1s, 1m, 1h")
        return value


class Verdict(NamedTuple):
    """`after`: seconds until another request is let through; `reset`: until all of them are."""

    limited: bool
    left: int
    reset: float
    after: float


class Counts(Protocol):
    async def ask(self, key: str) -> Verdict:
        """Count a request. Raises `Unavailable`."""


def build(options: RateLimit, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    key = key_of(options.by)
    most = options.burst or options.limit
    policy = b'"default";q=%d;w=%d' % (most, max(1, round(most * options.per / options.limit)))
    # An edit of anything else of the route is no reason to count anew.
    own = options.redis is None
    counts: Counts = context.keep(options.model_dump_json(), lambda: Own(options)) if own else Shared(options, context)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def limited(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                verdict = await counts.ask(f"{context.gateway}|{context.route}|{key(scope)}")
            except Unavailable:
                if options.redis is not None and options.redis.on_outage == "allow":
                    await app(scope, receive, send)
                    return
                said = "requests cannot be counted right now"
                await respond_problem(scope, send, 503, said, reason="CounterDown", headers=[(b"retry-after", b"1")])
                return
            fields = [
                (b"ratelimit-policy", policy),
                (b"ratelimit", b'"default";r=%d;t=%d' % (verdict.left, math.ceil(verdict.reset))),
            ]
            if verdict.limited:
                wait = (b"retry-after", b"%d" % max(1, math.ceil(verdict.after)))
                detail = "too many requests: wait, and ask less often"
                await respond_problem(scope, send, 429, detail, reason="RateLimited", headers=[*fields, wait])
                return

            async def answer(message: Message) -> None:
                if message["type"].endswith("response.start") or message["type"] == "websocket.accept":
                    message = {**message, "headers": [*message.get("headers", ()), *fields]}
                await send(message)

            await app(scope, receive, answer)

        return limited

    return wrap


def alone(options: RateLimit) -> str:
    """Why it needs to see all requests; empty where Redis does."""
    return "" if options.redis is not None else "without redis, it counts the requests of one process"


def key_of(by: str) -> Callable[[Scope], str]:
    """Whose request it is; keys of different kinds never meet."""
    name = by.removeprefix("header:").lower().encode()

    def client(scope: Scope) -> str:
        return f"client {network((scope.get('client') or ('',))[0])}"

    def of_header(scope: Scope) -> str:
        value = header(scope, name)
        return f"header {value[:200].decode('latin-1')}" if value is not None else client(scope)

    def of_user(scope: Scope) -> str:
        user = user_of(scope)
        return f"user {user.via} {user.name}" if user is not None else client(scope)

    def of_tenant(scope: Scope) -> str:
        tenant = tenant_of(scope)
        return f"tenant {tenant.name}" if tenant is not None else client(scope)

    kinds = {"client": client, "user": of_user, "tenant": of_tenant, "route": lambda _: "route"}
    return kinds.get(by, of_header)


class Unavailable(Exception):
    """Redis does not answer."""


def _quota(options: RateLimit) -> Any:
    from throttled.rate_limiter import per_duration

    return per_duration(timedelta(seconds=options.per), options.limit, burst=options.burst or options.limit)


def _verdict(found: Any) -> Verdict:
    state = found.state
    return Verdict(bool(found.limited), state.remaining, state.reset_after, state.retry_after)


class Own:
    """Counts in this process: nothing waits, so the part of the library without coroutines is the one to ask."""

    def __init__(self, options: RateLimit) -> None:
        from throttled import MemoryStore, RateLimiterRegistry

        store = MemoryStore(options={"MAX_SIZE": options.keys})
        self._limit = RateLimiterRegistry.get("gcra")(_quota(options), store).limit

    async def ask(self, key: str) -> Verdict:
        return _verdict(self._limit(key))


@dataclass
class Shared:
    """Counts in Redis."""

    options: RateLimit
    context: GatewayContext
    _away_until: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        redis = self.options.redis
        assert redis is not None
        try:
            import redis as client
            from throttled.asyncio import RateLimiterRegistry, RedisStore
            from throttled.exceptions import BaseThrottledError
        except ImportError:
            raise PermanentError(
                "rate_limit with redis needs it: pip install 'vidops[redis]'", reason="NoRedis"
            ) from None
        self._errors: tuple[type[Exception], ...] = (client.RedisError, BaseThrottledError, OSError, TimeoutError)
        password = self.context.secret(redis.password) if redis.password is not None else None
        pool = {"password": password, "socket_timeout": redis.timeout, "socket_connect_timeout": redis.timeout}
        store = RedisStore(server=redis.url, options={"CONNECTION_POOL_KWARGS": pool})
        self._limiter: Any = RateLimiterRegistry.get("gcra")(_quota(self.options), store)

    async def ask(self, key: str) -> Verdict:
        """Raises `Unavailable`."""
        redis, now = self.options.redis, time.monotonic()
        assert redis is not None
        if now < self._away_until:
            raise Unavailable
        try:
            async with asyncio.timeout(redis.timeout):
                return _verdict(await self._limiter.limit(key))
        except self._errors as error:
            self._away_until = now + OUTAGE_PAUSE
            record = {"level": "warning", "event": "redis_down", "route": self.context.route}
            self.context.log({**record, "error": f"{type(error).__name__}: {error}"})
            raise Unavailable from None

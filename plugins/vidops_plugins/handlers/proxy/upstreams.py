"""The upstreams of one proxy: their connections, their state, their health checks."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf
from time import monotonic

from vidops.api import GatewayContext, PermanentError, Scope
from vidops_plugins.handlers.proxy import heads
from vidops_plugins.handlers.proxy.balance import Balancer, Breaker, State
from vidops_plugins.handlers.proxy.options import Health, Proxy, Tls
from vidops_plugins.handlers.proxy.pool import Pool, Unreachable
from vidops_plugins.handlers.proxy.targets import Target, parse_target
from vidops_plugins.handlers.proxy.wire import Broken, Connection, Stale


@dataclass(slots=True)
class Upstream:
    index: int
    target: Target
    pool: Pool
    state: State
    failing: frozenset[int]
    """Statuses that count as failures."""

    async def take(self, client: str, *, repeatable: bool, fresh: bool) -> Connection:
        """One for one try, to `give_back`. Raises what `Pool.acquire` raises."""
        self.state.breaker.began()
        self.state.active += 1
        try:
            return await self.pool.acquire(client, repeatable=repeatable, fresh=fresh)
        except BaseException:
            self._tried()
            raise

    def give_back(self, connection: Connection) -> None:
        self.pool.release(connection)
        self._tried()

    def _tried(self) -> None:
        self.state.active -= 1
        self.state.breaker.gave_up()

    def judge(self, status: int, connection: Connection) -> None:
        """An answer came."""
        if status in self.failing:
            self.failed(connection)
        else:
            self.state.breaker.succeeded()

    def failed(self, connection: Connection | None) -> None:
        """None: there was not even a connection."""
        if connection is None or not connection.unasked:
            self.state.breaker.failed(monotonic())


@dataclass(slots=True)
class Upstreams:
    options: Proxy
    context: GatewayContext
    all: list[Upstream] = field(init=False)
    _balancer: Balancer = field(init=False)
    _checks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        options, limits = self.options, self.options.connections
        # There is nobody to go to instead of the only one.
        breaker = options.circuit_breaker if len(options.upstreams) > 1 else None
        self.all = []
        for index, url in enumerate(options.upstreams):
            target = parse_target(url)
            pool = Pool(
                target,
                _tls(options.tls, self.context.base_dir) if target.tls else None,
                server_name=options.tls.server_name or target.host,
                most=limits.most,
                per_client=limits.share,
                idle=limits.idle,
                idle_timeout=limits.idle_timeout,
                connect=options.timeouts.connect,
                wait=limits.wait,
            )
            state = State(url, Breaker(breaker.failures, breaker.open_for) if breaker else Breaker(inf, 0))
            self.all.append(Upstream(index, target, pool, state, frozenset(breaker.statuses if breaker else ())))
        self._balancer = Balancer(options.balance, [upstream.state for upstream in self.all])

    def pick(self, scope: Scope, tried: Collection[int]) -> Upstream | None:
        client = (scope.get("client") or ("",))[0]
        index = self._balancer.pick(monotonic(), client, tried)
        if index is None and tried and len(self.all) == len(tried) == 1:
            # There is no other one: another try is with the same, unless it is to be left alone.
            index = 0 if self.all[0].state.available(monotonic()) else None
        return None if index is None else self.all[index]

    def named(self, upstream: Upstream) -> bytes | None:
        """What `Host` says to it; None: what the client asked for."""
        match self.options.host:
            case "preserve":
                return None
            case "upstream":
                return upstream.target.authority.encode()
            case name:
                return name.encode()

    def more(self, scope: Scope, tried: Collection[int]) -> bool:
        """Whether another try would find somebody."""
        if len(self.all) == 1:
            return True
        now = monotonic()
        return any(u.index not in tried and u.state.available(now) for u in self.all)

    async def start(self) -> None:
        if self.options.health is not None:
            self._checks = [asyncio.create_task(self._check(u, self.options.health)) for u in self.all]

    async def stop(self) -> None:
        for check in self._checks:
            check.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)
        for upstream in self.all:
            upstream.pool.close()

    async def _check(self, upstream: Upstream, health: Health) -> None:
        """Ask for ever. One that has not been asked yet is taken for well."""
        row = 0
        while True:
            well = await self._well(upstream, health)
            state = upstream.state
            row = row + 1 if well != state.healthy else 0
            if row >= (health.healthy if well else health.unhealthy):
                state.healthy, row = well, 0
                word = "well" if well else "unwell"
                self.context.log(
                    {
                        "level": "info" if well else "warning",
                        "event": f"upstream_{word}",
                        "route": self.context.route,
                        "upstream": upstream.target.url,
                    }
                )
            await asyncio.sleep(health.every)

    async def _well(self, upstream: Upstream, health: Health) -> bool:
        target = upstream.target
        # By its own name, an upstream of many names would answer for another one.
        host = self.named(upstream) or target.authority.encode()
        fields = [(b"host", host), (b"user-agent", b"vidops"), (b"connection", b"close")]
        request = heads.request_head("GET", (target.base + health.path).encode(), fields)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(health.timeout):
                connection = await upstream.pool.open()
                connection.begin(bodiless=False)
                connection.write(request)
                return (await connection.response()).status < 400
        except (Unreachable, Broken, Stale, TimeoutError):
            return False
        finally:
            if connection is not None:
                connection.close()


def _tls(options: Tls, base_dir: str) -> ssl.SSLContext:
    """Raises `PermanentError` where the authorities cannot be read."""
    try:
        context = ssl.create_default_context(cafile=os.path.join(base_dir, options.ca) if options.ca else None)
    except (OSError, ssl.SSLError) as error:
        raise PermanentError(f"tls.ca {options.ca}: {error}: give a PEM file", reason="BadCertificate") from None
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context

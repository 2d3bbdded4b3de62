"""What a stack file says of a proxy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from vidops.api import Options, PositiveDuration, Size
from vidops_plugins.handlers.proxy.balance import Policy
from vidops_plugins.handlers.proxy.targets import UpstreamUrl, checked_name, parse_target

Status = Annotated[int, Field(ge=500, le=599)]


class Timeouts(Options):
    connect: PositiveDuration = "5s"  # type: ignore[assignment]
    """How long an upstream may take to accept a connection, TLS included."""
    first_byte: PositiveDuration = "60s"  # type: ignore[assignment]
    """How long it may take from the end of the request to the head of its answer."""
    idle: PositiveDuration = "60s"  # type: ignore[assignment]
    """How long an answer may pause, or an upstream take nothing of a request's body. Event streams that are quiet for
    longer need more."""
    websocket_idle: PositiveDuration = "5m"  # type: ignore[assignment]
    """How long a WebSocket may be silent both ways; pings count."""


class Connections(Options):
    most: Annotated[int, Field(ge=1, le=10000)] = 256
    """Connections to each upstream at a time."""
    per_client: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Those of one address (of IPv6 the /64) at a time, WebSockets too, so that nobody holds all of them; without it, a
    quarter of `most`. Behind a proxy that is not in `trusted_proxies`, all clients have the proxy's address."""
    wait: PositiveDuration = "5s"  # type: ignore[assignment]
    """How long a request waits for one where all are taken, or all of its client's; then it is answered 503."""
    idle: Annotated[int, Field(ge=0, le=10000)] = 32
    """Connections to each upstream that are kept for later requests."""
    idle_timeout: PositiveDuration = "30s"  # type: ignore[assignment]
    """How long they are kept."""

    @property
    def share(self) -> int:
        return self.per_client or max(1, self.most // 4)


class Retry(Options):
    """Another try, with another upstream where there is one. Only what certainly did nothing is tried again: where no
    connection came about, and requests without a body whose method is idempotent (RFC 9110, 9.2.2)."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    """Tries in all."""
    statuses: Annotated[list[Status], Field(max_length=20)] = Field(default_factory=list)
    """Answers that are tried again, too: [502, 503, 504]."""
    pause: PositiveDuration = "50ms"  # type: ignore[assignment]
    """Before the second try; twice as long before each further one."""


class CircuitBreaker(Options):
    """One of several upstreams that fails again and again is left alone for a while; one that is alone is not, and
    neither are all at once. Whether one is there at all, `health` finds out. What ends while its client still has to
    send of its request's body is no failure of the upstream."""

    failures: Annotated[int, Field(ge=1, le=1000)] = 5
    """Failures in a row: no connection, no whole answer, none in time."""
    open_for: PositiveDuration = "10s"  # type: ignore[assignment]
    """How long it is left alone; then one request at a time tries it."""
    statuses: Annotated[list[Status], Field(max_length=20)] = Field(default_factory=list)
    """Answers that count as failures, too."""


class Health(Options):
    """Asks each upstream now and then whether it is well."""

    path: Annotated[str, Field(pattern=r"^/[!-~]{0,500}$")] = "/"
    """Answered with a status below 400 by one that is."""
    every: PositiveDuration = "10s"  # type: ignore[assignment]
    timeout: PositiveDuration = "2s"  # type: ignore[assignment]
    healthy: Annotated[int, Field(ge=1, le=100)] = 1
    """Good answers in a row that make it well again."""
    unhealthy: Annotated[int, Field(ge=1, le=100)] = 2
    """Bad ones in a row that make it unwell: it gets no requests then."""


class Tls(Options):
    """For https:// upstreams."""

    ca: str | None = None
    """A PEM file with the authorities to believe, relative to the stack file; without it, those of the host."""
    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$"), AfterValidator(checked_name)] | None = None
    """The name that its certificate is to be for; without it, that of its URL."""
    verify: bool = True
    """false believes every certificate: who is in between can then read and change everything."""


Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:\[\]-]{1,260}$")]


class Proxy(Options):
    """Passes requests on to HTTP/1.1 services, bodies streamed both ways.

    `X-Forwarded-For`, `-Host`, `-Proto` and `Via` tell the upstream who asks; whatever a client claims there is
    dropped, unless `trusted_proxies` believed it. What `headers` sets of them goes on as it says.
    """

    upstreams: Annotated[list[UpstreamUrl], Field(min_length=1, max_length=64)]
    """http://HOST:PORT, https://HOST:PORT/BASE or unix:/PATH."""
    balance: Policy = "round_robin"
    """Which of several takes a request; `client_ip` gives a client the same one each time."""
    host: Literal["preserve", "upstream"] | Host = "preserve"
    """What `Host` says: what the client asked for, the upstream's own name, or a name of yours. Health checks say the
    same, but for what the client asked for: there is none, and they say the upstream's own name."""
    strip_prefix: bool = False
    """Ask the upstream for what `**` of the route's path matched, without what stands before it."""
    websocket: bool = False
    """Pass WebSockets on, too: as bytes, so that pings, close codes and extensions are the upstream's own. Over HTTP/2,
    HTTP/3, and behind middleware that changes messages, as messages of 1 MiB at most: a larger one ends it with 1009,
    and pings and extensions are each side's own."""
    max_body: Size | None = None
    """Bytes of a request's body; without it, the gateway's limit of 16 MiB. Where `limits` says one, too, the
    smaller."""
    timeouts: Timeouts = Timeouts()
    connections: Connections = Connections()
    retry: Retry = Retry()
    circuit_breaker: CircuitBreaker | None = CircuitBreaker()
    """null: none."""
    health: Health | None = None
    tls: Tls = Tls()

    @model_validator(mode="after")
    def _fits(self) -> Proxy:
        if len(set(self.upstreams)) != len(self.upstreams):
            raise ValueError("the same upstream twice")
        if self.tls != Tls() and not any(parse_target(url).tls for url in self.upstreams):
            raise ValueError("tls is for https:// upstreams, and there is none")
        return self

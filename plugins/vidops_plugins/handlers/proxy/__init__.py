"""`proxy`: other services behind this gateway's chains. Plain ASGI on one side, a socket on the other.

One request: pick an upstream, take a connection to it, write the head, stream the body while the response streams back.
Which of these failed, and whether it may be tried again, is decided here; the log hears what the client does not.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from vidops.api import (
    CHAIN,
    FIELDS_SET,
    ASGIApp,
    GatewayContext,
    Receive,
    Scope,
    Send,
    TemporaryError,
    network,
    respond_problem,
    tunnel_of,
)
from vidops_plugins.handlers.proxy import heads, relay, tunnel
from vidops_plugins.handlers.proxy.exchange import (
    IDEMPOTENT,
    ClientLeft,
    Exchange,
    RequestBody,
    Slow,
    WrongLength,
    interim_of,
    takes_trailers,
)
from vidops_plugins.handlers.proxy.options import Proxy
from vidops_plugins.handlers.proxy.pool import Full, Unreachable
from vidops_plugins.handlers.proxy.upstreams import Upstream, Upstreams
from vidops_plugins.handlers.proxy.wire import Broken, Connection, Head, Stale

__all__ = ["Proxy", "build"]


class Failure(Exception):
    """What the client is told: a status and a word, and nothing of the inside."""

    def __init__(self, status: int, reason: str, detail: str, *, again_in: float = 0.0) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.fields = [(b"retry-after", b"%d" % math.ceil(again_in))] if again_in else []


def build(options: Proxy, context: GatewayContext) -> ASGIApp:
    upstreams = Upstreams(options, context)
    context.started.append(upstreams.start)
    context.stopped.append(upstreams.stop)
    proxying = Proxying(options, context, upstreams)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await (proxying.websocket if scope["type"] == "websocket" else proxying.http)(scope, receive, send)
        except ClientLeft:
            return
        except WrongLength as error:
            await respond_problem(scope, send, 400, str(error))
        except Failure as failure:
            told = failure.status, failure.detail
            await respond_problem(scope, send, *told, reason=failure.reason, headers=failure.fields)

    return app


@dataclass(frozen=True, slots=True)
class Proxying:
    options: Proxy
    context: GatewayContext
    upstreams: Upstreams

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.options.max_body is not None and (watched := scope.get("vidops.body")) is not None:
            watched.narrow(self.options.max_body)
        body = await RequestBody.of(scope, receive)
        safe = scope["method"] in IDEMPOTENT and body.empty
        trailers = takes_trailers(scope)
        framing = [*body.framing, *heads.TRAILERS_WANTED] if trailers else body.framing

        async def attempt(upstream: Upstream, connection: Connection, last: bool) -> bool:
            fields = [*self._fields(scope, upstream), *framing]
            head = heads.request_head(scope["method"], self._target(scope, upstream), fields)
            bodiless = scope["method"] == "HEAD"
            connection.begin(bodiless=bodiless)
            connection.write(head)
            timeouts = self.options.timeouts
            exchange = Exchange(connection, body, first_byte=timeouts.first_byte, idle=timeouts.idle)
            try:
                answered = await exchange.head(interim_of(scope, send))
                if answered.status == 101:
                    raise Broken("it switched protocols without being asked")
                if safe and not last and answered.status in self.options.retry.statuses:
                    upstream.judge(answered.status, connection)
                    connection.close()
                    return False
                try:
                    await exchange.answer(answered, send, bodiless=bodiless, trailers=trailers)
                except (Broken, Slow) as error:
                    # What goes wrong from here on can only be shown by ending it early.
                    upstream.failed(connection)
                    self._note(scope, upstream, error, event="upstream_cut_off")
                    raise CutOff from None
                upstream.judge(answered.status, connection)
                return True
            finally:
                await exchange.close()

        await self._try(scope, attempt, safe=safe)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.options.websocket:
            raise Failure(403, "NoWebSocket", "no WebSocket here")
        await receive()  # the handshake itself
        way = tunnel_of(scope)
        key = tunnel.key_of(scope) if way is not None else relay.fresh_key()
        idle = self.options.timeouts.websocket_idle

        async def attempt(upstream: Upstream, connection: Connection, last: bool) -> bool:
            fields = self._fields(scope, upstream)
            if way is None:
                fields = relay.offer(fields, key)
            head = heads.request_head("GET", self._target(scope, upstream), tunnel.handshake(fields))
            connection.begin(bodiless=False)
            connection.write(head)
            nothing = RequestBody(receive, 0)
            exchange = Exchange(connection, nothing, first_byte=self.options.timeouts.first_byte, idle=idle)
            answered = await exchange.head()
            upstream.judge(answered.status, connection)
            if answered.status != 101:
                await self._refusal(exchange, answered, send)
                return True
            tunnel.accepted(key, answered)
            try:
                closing = self.context.closing
                if way is not None:
                    await tunnel.pump(send, way, connection, answered, idle=idle, closing=closing)
                else:
                    work = relay.Relay(connection, receive, send, idle=idle).run(answered)
                    await tunnel.until_closing(asyncio.ensure_future(work), closing)
            except Slow as error:
                self._note(scope, upstream, error)
            return True

        await self._try(scope, attempt, safe=True, fresh=True)

    # -- tries -------------------------------------------------------------------------------------------------

    async def _try(
        self,
        scope: Scope,
        attempt: Callable[[Upstream, Connection, bool], Awaitable[bool]],
        *,
        safe: bool,
        fresh: bool = False,
    ) -> None:
        """Until a try has answered. `safe`: the request may be sent a second time. Where there was no connection,
        nothing of it was sent."""
        retry, tried = self.options.retry, set[int]()
        client = network((scope.get("client") or ("",))[0])
        failure: Failure | None = None
        stale = False
        number = 1
        while number <= retry.attempts:
            upstream = self.upstreams.pick(scope, tried)
            if upstream is None:
                break
            last = number == retry.attempts or not self.upstreams.more(scope, {*tried, upstream.index})
            try:
                connection = await upstream.take(client, repeatable=safe, fresh=fresh or stale)
                try:
                    if await attempt(upstream, connection, last):
                        return
                except BaseException:
                    connection.close()
                    raise
                finally:
                    upstream.give_back(connection)
                failure = Failure(502, "UpstreamFailed", "the service behind this path failed")
            except Stale as error:
                if safe and connection.used > 1 and not stale:
                    # It had been kept for too long: that was no try.
                    stale = True
                    continue
                failure = self._failed(scope, upstream, error, connection)
                if not safe:
                    raise failure from None
            except Unreachable as error:
                failure = self._failed(scope, upstream, error, None)
            except (Broken, Slow) as error:
                raise self._failed(scope, upstream, error, connection) from None
            except Full as error:
                self._note(scope, upstream, error)
                detail = "the service behind this path is busy: try again later"
                raise Failure(503, "UpstreamBusy", detail, again_in=self.options.connections.wait) from None
            tried.add(upstream.index)
            stale = False
            number += 1
            if number <= retry.attempts and not last:
                await asyncio.sleep(retry.pause * 2 ** (number - 2))
        raise failure or Failure(503, "NoUpstream", "no service behind this path is well: try again later")

    async def _refusal(self, exchange: Exchange, head: Head, send: Send) -> None:
        """A handshake that was answered with an ordinary response: that is the client's answer, too."""

        async def as_refusal(message: Any) -> None:
            kind = message["type"].removeprefix("http.")
            await send({**message, "type": f"websocket.http.{kind}"})

        await exchange.answer(head, as_refusal, bodiless=False)

    def _failed(self, scope: Scope, upstream: Upstream, error: Exception, connection: Connection | None) -> Failure:
        upstream.failed(connection)
        self._note(scope, upstream, error)
        match error:
            case Unreachable():
                said = (504 if error.timed_out else 502, "UpstreamUnreachable", "cannot be reached")
            case Slow():
                said = (504, "UpstreamTimeout", "did not answer in time")
            case _:
                said = (502, "UpstreamBroken", "sent no valid answer")
        status, reason, did = said
        return Failure(status, reason, f"the service behind this path {did}")

    def _note(self, scope: Scope, upstream: Upstream, error: Exception, *, event: str = "upstream_failed") -> None:
        self.context.log(
            {
                "level": "warning",
                "event": event,
                "route": self.context.route,
                "upstream": upstream.target.url,
                "path": scope["path"],
                "error": str(error),
            }
        )

    # -- what is sent ------------------------------------------------------------------------------------------

    def _fields(self, scope: Scope, upstream: Upstream) -> heads.Fields:
        host = self.upstreams.named(upstream)
        scheme = str(scope["scheme"]).replace("ws", "http")
        chain = scope.get(CHAIN) or (scope.get("client") or ("",))[:1]
        return heads.request_fields(
            scope["headers"], host=host, chain=chain, scheme=scheme, set_here=scope.get(FIELDS_SET, frozenset())
        )

    def _target(self, scope: Scope, upstream: Upstream) -> bytes:
        rest = scope["vidops.rest"] if self.options.strip_prefix else None
        base = upstream.target.base.encode()
        return heads.target(scope["raw_path"], scope["query_string"], base=base, rest=rest)


class CutOff(TemporaryError):
    """The upstream's answer ended early, after the client's had begun: no mistake of ours, so no traceback. What stands
    before in a chain and had held it back may still answer."""

    def __init__(self) -> None:
        super().__init__("the service behind this path broke off its answer", reason="UpstreamBroken")

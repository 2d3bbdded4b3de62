"""Counts requests for Prometheus; the handler of the same name shows what was counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from vidops.api import ASGIApp, GatewayContext, Message, Options, Receive, Scope, Send, direct_of
from vidops_plugins.middleware.access_log import answered

if TYPE_CHECKING:
    from prometheus_client import Counter

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Others are counted as OTHER: a client may invent as many as it likes."""
_STREAMS = (b"multipart/x-mixed-replace", b"text/event-stream")


class CountRequests(Options):
    """Counts requests, their bytes and how long they take, by route."""


def build(options: CountRequests, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    metrics, route = context.metrics, context.route
    running, seconds, sent = metrics.running.labels(route), metrics.seconds.labels(route), metrics.sent.labels(route)
    answers: dict[tuple[str, int], Counter] = {}

    def wrap(app: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            status, size, long = 0, 0, scope["type"] == "websocket"

            async def count(message: Message) -> None:
                nonlocal status, size, long
                kind = message["type"]
                if kind == "http.response.body":
                    size += len(message.get("body", b""))
                elif kind.endswith("response.start"):
                    status = int(message["status"])
                    for name, value in message.get("headers", ()):
                        if value.startswith(_STREAMS) and name.lower() == b"content-type":
                            long = True
                elif kind == "websocket.accept":
                    status = 101
                elif kind == "websocket.close":
                    status = status or 403  # which is what it is before the handshake
                await send(message)

            began = time.perf_counter()
            running.inc()
            try:
                await app(scope, receive, count)
            except Exception as error:
                status = status or answered(error)
                raise
            finally:
                running.dec()
                if not long:
                    seconds.observe(time.perf_counter() - began)
                direct = direct_of(scope)
                sent.inc(size + (direct.sent if direct is not None else 0))
                method = scope.get("method", "WEBSOCKET")
                known = method if method in METHODS or method == "WEBSOCKET" else "OTHER"
                # 499, as nginx says it: the client left before there was an answer.
                # The library looks labels up under a lock, as text.
                labels = (known, status or 499)
                counter = answers.get(labels)
                if counter is None:
                    counter = answers[labels] = metrics.requests.labels(route, *labels)
                counter.inc()

        return counted

    return wrap

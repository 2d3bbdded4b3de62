"""`send` of one request: knows how far the answer is, and sees to it that it arrives."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus

from vidops.asgi import DIRECT
from vidops.gateway.body import Body
from vidops.gateway.dates import http_date
from vidops.gateway.direct import TransportStream
from vidops.gateway.outflow import Outflow
from vidops.resources.catalogue import Message, Scope, Send

ALT_SVC = "vidops.alt_svc"
"""Key of the scope: what answers over TCP say of HTTP/3 (RFC 7838), where it is served beside."""
_LONG = (b"multipart/x-mixed-replace", b"text/event-stream")


class Reply:
    """Wraps `send`. `started`: a head went out. `long`: the answer is a stream that lasts."""

    def __init__(self, scope: Scope, send: Send, body: Body | None) -> None:
        self.started = False
        self.long = False
        self.status = 0
        self.closing = False
        """Set to end an HTTP/1 connection with this answer."""
        self.direct: TransportStream | None = (scope.get("extensions") or {}).get(DIRECT)
        self._all = send
        self._watched = Outflow(scope, send).write if body is not None else send
        self._body = body
        self._alt_svc: bytes | None = scope.get(ALT_SVC)
        self._http1 = scope.get("http_version") in ("1.0", "1.1")

    async def __call__(self, message: Message) -> None:
        """ASGI's `send`."""
        kind = message["type"]
        waiting: Awaitable[None] | None
        if kind in ("http.response.start", "websocket.http.response.start"):
            waiting = self._start(message)
        elif kind == "http.response.body":
            waiting = self._part(message)
        else:
            if kind == "websocket.accept":
                self.started = self.long = True
                self.status = 101
            waiting = self._send(message)
        if waiting is not None:
            await waiting

    def unclaim(self) -> None:
        """What is sent from now on is an ordinary answer."""
        if self.direct is not None and not self.direct.opened:
            self.direct = None

    def _send(self, message: Message) -> Awaitable[None] | None:
        """Returns what is to be awaited, if anything; so do those below."""
        return (self._all if self.long else self._watched)(message)

    def _start(self, message: Message) -> Awaitable[None] | None:
        self.started = True
        if self._body is not None:
            self._body.answered = True
        self.status = int(message["status"])
        headers = list(message.get("headers", ()))
        if self.status == HTTPStatus.NO_CONTENT:
            headers = [field for field in headers if field[0].lower() != b"content-length"]  # RFC 9110, 8.6
        names = {name.lower(): value for name, value in headers}
        kind = names.get(b"content-type", b"")
        if b"date" not in names:
            headers.append((b"date", http_date()))
        if self._alt_svc is not None:
            # An upstream's word is about its own ports.
            headers = [*((n, v) for n, v in headers if n.lower() != b"alt-svc"), (b"alt-svc", self._alt_svc)]
        message = {**message, "headers": headers}
        self.long = kind.startswith(_LONG)
        if self.direct is not None and self.direct.claimed:
            self.direct.open(message)
            return None
        body = self._body
        # Who is still sending is told at once that nothing else is taken after it.
        if self._http1 and (self.closing or (body is not None and body.under_way)):
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
        return self._send(message)

    def _part(self, message: Message) -> Awaitable[None] | None:
        if self.direct is not None and self.direct.opened:
            # Some middleware answered in the place of the handler that claimed the transport.
            self.direct.write(message.get("body", b""))
            return None
        body = self._body
        if body is not None and not body.complete and not body.gone and not message.get("more_body", False):
            return self._early(message, body)
        return self._send(message)

    async def _early(self, message: Message, body: Body) -> None:
        """The whole answer first, then the rest of the request, then the end: a client that is still sending would
        otherwise meet a reset, and never read why."""
        if (waiting := self._send({**message, "more_body": True})) is not None:
            await waiting
        await body.drain()
        if (waiting := self._send({"type": "http.response.body", "body": b"", "more_body": False})) is not None:
            await waiting

"""`inject_devices`: backends in containers have no cameras; their answers say what this host has.

JSON answers of chosen paths get the list of cameras at a JSON Pointer, merged with what the backend put there; messages
of proxied WebSockets likewise, and again when a camera changes. What is no JSON, too large or has no such place passes
as it came.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from vidops.api import (
    TUNNEL,
    ASGIApp,
    GatewayContext,
    Message,
    Options,
    Receive,
    Scope,
    Send,
    Size,
    header,
    may_see,
)
from vidops_plugins.middleware.inject_devices.coding import Undecodable, decoded
from vidops_plugins.middleware.inject_devices.merge import NoPlace, facts, injected, value_at

Pointer = Annotated[str, Field(pattern=r"^(?:/[^\x00]{0,200})*$", max_length=500)]
_JSON = re.compile(rb"application/(?:[a-z0-9.+-]*\+)?json\b")
_CONDITIONS = (b"if-none-match", b"if-modified-since", b"if-range", b"range")
"""Fields of a request that ask about the backend's document, which nobody gets."""
_BACKENDS = (b"content-length", b"content-encoding", b"etag", b"last-modified", b"accept-ranges", b"cache-control")
"""Fields of an answer that are about the backend's document."""
SETTLE = 0.1
"""Seconds in which changes of cameras are told as one."""


class Messages(Options):
    """Which messages of a WebSocket list devices."""

    when: Pointer = "/type"
    """Where a message says what it is."""
    equals: str | int | bool = "devices"
    """What it says there when it lists devices."""
    pointer: Pointer = "/devices"
    """Where the list is."""
    live: bool = True
    """Send the last such message again, with the cameras as they are, when one of them changes."""


class InjectDevices(Options):
    """Puts this host's cameras into a backend's answers."""

    pointer: Pointer = "/devices"
    """Where the list is in a JSON answer (RFC 6901); a missing or null one is made."""
    paths: Annotated[list[str], Field(min_length=1, max_length=100)]
    """Globs of the paths whose answers are changed. Conditions and ranges of requests for them do not reach the
    backend: name no more than lists devices."""
    fields: Annotated[dict[str, str], Field(max_length=100)] = Field(default_factory=dict)
    """What the backend calls each fact: {id: name, path: device_path, status: state}. Without it: all facts, as
    /v1/devices has them."""
    identity: Annotated[dict[str, str], Field(max_length=20)] = Field(
        default_factory=lambda: {"serial": "serial", "device_path": "device_path", "name": "name"}
    )
    """By which of its fields an entry is a camera of ours, and their facts: the first that both have."""
    keep: bool = True
    """Leave entries of the backend's that are no cameras of this host. Those that are cameras which the request may not
    see (`tenant`, `authorize`) go in any case."""
    limit: Size = "1MiB"  # type: ignore[assignment]
    """Largest document that is changed."""
    messages: Messages | None = None
    """Change messages of WebSockets, too."""


def build(options: InjectDevices, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    paths = [re.compile(fnmatch.translate(glob)) for glob in options.paths]

    def put(document: Any, pointer: str, scope: Scope) -> Any:
        seen, hidden = list[dict[str, Any]](), list[dict[str, Any]]()
        for state in context.cameras.states():
            (seen if may_see(scope, str(state["name"])) else hidden).append(facts(state))
        return injected(
            document, pointer, seen,
            fields=options.fields, identity=options.identity, keep=options.keep, hidden=hidden,
        )  # fmt: skip

    def wrap(app: ASGIApp) -> ASGIApp:
        async def injecting(scope: Scope, receive: Receive, send: Send) -> None:
            if not any(pattern.fullmatch(scope["path"]) for pattern in paths):
                await app(scope, receive, send)
            elif scope["type"] == "websocket":
                if options.messages is None:
                    await app(scope, receive, send)
                else:
                    await _websocket(scope, receive, send, app, options.messages)
            else:
                inner = {**scope, "headers": [(n, v) for n, v in scope["headers"] if n not in _CONDITIONS]}
                change: Change = lambda document: put(document, options.pointer, scope)  # noqa: E731
                await app(inner, receive, Answer(scope, send, change, options.limit))

        async def _websocket(scope: Scope, receive: Receive, send: Send, app: ASGIApp, messages: Messages) -> None:
            # As messages: bytes would have to be unmasked, unpacked and packed again.
            inner = {**scope, "extensions": {k: v for k, v in scope["extensions"].items() if k != TUNNEL}}
            way = Socket(send, lambda document: put(document, messages.pointer, scope), messages, options.limit)
            watcher = asyncio.create_task(way.watch(context)) if messages.live else None
            try:
                await app(inner, receive, way)
            finally:
                if watcher is not None:
                    watcher.cancel()
                    await asyncio.gather(watcher, return_exceptions=True)

        return injecting

    return wrap


Change = Callable[[Any], Any]


def changed(body: bytes, change: Change) -> bytes | None:
    """The document with the cameras in it; None for what is no JSON, or has no place for them."""
    try:
        return json.dumps(change(json.loads(body)), separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError, NoPlace, UnicodeEncodeError):
        return None


class Answer:
    """`send` of one request: holds a JSON answer back until it is whole, if it stays within the limit."""

    def __init__(self, scope: Scope, send: Send, change: Change, limit: int) -> None:
        self._scope = scope
        self._send = send
        self._change = change
        self._limit = limit
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """ASGI's `send`."""
        if message["type"] == "http.response.start" and self._fits(message):
            if self._scope["method"] == "HEAD":
                message = {**message, "headers": without(message["headers"], *_BACKENDS)}
            else:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            await self._part(self._start, message)
            return
        await self._send(message)

    def _fits(self, message: Message) -> bool:
        found = {n.lower(): v for n, v in message.get("headers", ())}
        length = found.get(b"content-length", b"0")
        return (
            200 <= message["status"] < 300
            and message["status"] not in (204, 206)
            and _JSON.match(found.get(b"content-type", b"").lower()) is not None
            and length.isdigit()
            and int(length[:20]) <= self._limit
        )

    async def _part(self, start: Message, message: Message) -> None:
        self._body += message.get("body", b"")
        more = message.get("more_body", False)
        if more and len(self._body) <= self._limit:
            return
        self._start = None
        body = None if more or len(self._body) > self._limit else self._changed(start)
        if body is None:
            await self._send(start)
            await self._send({**message, "body": bytes(self._body)})
            return
        tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
        fixed = [(b"etag", tag), (b"cache-control", b"no-cache")]
        kept = without(start["headers"], *_BACKENDS)
        if tag in [t.strip().removeprefix(b"W/") for t in (header(self._scope, b"if-none-match") or b"").split(b",")]:
            await self._send({**start, "status": 304, "headers": [*without(kept, b"content-type"), *fixed]})
            await self._send({"type": "http.response.body", "body": b""})
            return
        fixed.append((b"content-length", b"%d" % len(body)))
        await self._send({**start, "headers": [*kept, *fixed]})
        await self._send({"type": "http.response.body", "body": body})

    def _changed(self, start: Message) -> bytes | None:
        coding = next((v for n, v in start["headers"] if n.lower() == b"content-encoding"), b"")
        try:
            return changed(
                decoded(bytes(self._body), coding.decode("latin-1").strip().lower(), self._limit), self._change
            )
        except Undecodable:
            return None


def without(headers: Sequence[tuple[bytes, bytes]], *names: bytes) -> list[tuple[bytes, bytes]]:
    return [(n, v) for n, v in headers if n.lower() not in names]


class Socket:
    """`send` of one WebSocket. Remembers the last message that lists devices, as the backend sent it."""

    def __init__(self, send: Send, change: Change, messages: Messages, limit: int) -> None:
        self._send = send
        self._change = change
        self._messages = messages
        self._limit = limit
        self._last: bytes | None = None
        self._told = b""

    async def __call__(self, message: Message) -> None:
        """ASGI's `send`."""
        text = message.get("text")
        if message["type"] == "websocket.send" and text is not None and len(text) <= self._limit:
            data = text.encode("utf-8", "surrogatepass")
            if self._lists(data):
                body = changed(data, self._change)
                if body is not None:
                    self._last, self._told = data, body
                    message = {**message, "text": body.decode()}
        await self._send(message)

    def _lists(self, data: bytes) -> bool:
        try:
            found = value_at(json.loads(data), self._messages.when)
        except (ValueError, RecursionError, NoPlace):
            return False
        return type(found) is type(self._messages.equals) and found == self._messages.equals

    async def watch(self, context: GatewayContext) -> None:
        """Say the last list again when it has become another one; for ever."""
        async for _ in context.cameras.watch():
            await asyncio.sleep(SETTLE)
            body = changed(self._last, self._change) if self._last is not None else None
            if body is not None and body != self._told:
                self._told = body
                await self._send({"type": "websocket.send", "text": body.decode()})

"""A WebSocket on its way through: after the handshake, bytes both ways.

Frames are not changed, so pings, close codes, fragments and extensions are what the two ends make of them, and a
slow end holds back the other one alone. Where the client's connection cannot be had as bytes (HTTP/2, middleware that
changes messages), `relay` passes messages on instead. Where frames end is followed, such that a route that leaves
service can say so between two of them (1001).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from wsproto.connection import ConnectionType

from vidops.api import Closing, Scope, Send, Tunnel, header
from vidops_plugins.handlers.proxy import heads
from vidops_plugins.handlers.proxy.exchange import Slow
from vidops_plugins.handlers.proxy.frames import Frames, going_away
from vidops_plugins.handlers.proxy.wire import Broken, Connection, Head

PATIENCE = 1.0
"""Seconds for what is said at the end: a frame that is on its way, and both ends' answers to ours."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_AGREED = (b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions")


@dataclass(eq=False, slots=True)
class Way:
    """One direction of a tunnel. `cut`: what was written ends with a whole frame, whatever was read after it."""

    read: Callable[[], Awaitable[bytes]]
    write: Callable[[bytes], Awaitable[None]]
    goodbye: bytes
    frames: Frames = field(default_factory=Frames)
    cut: bool = False


def handshake(fields: heads.Fields) -> heads.Fields:
    """The fields of an upgrade request, from those of `heads.request_fields`."""
    return [*fields, (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]


def accepted(key: bytes, head: Head) -> None:
    """Raises `Broken` where a 101 is no answer to this key (RFC 6455, 4.1)."""
    found = dict(head.headers)
    proof = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - the RFC's own
    if found.get(b"upgrade", b"").lower() != b"websocket" or not hmac.compare_digest(
        found.get(b"sec-websocket-accept", b""), proof
    ):
        raise Broken("its 101 is no WebSocket handshake")


def agreed(head: Head) -> heads.Fields:
    """What the upstream said in its handshake, and the client has to hear."""
    return [(name, value) for name, value in head.headers if name in _AGREED]


async def pump(
    send: Send, tunnel: Tunnel, connection: Connection, head: Head, *, idle: float, closing: Closing
) -> None:
    """Open the client's side as the upstream opened its own, and pass bytes on until one side ends or the route leaves
    service; both are told of that.

    `idle`: seconds that both may be silent.
    """
    fields = heads.end_to_end(head.headers)
    more = [(n, v) for n, v in fields if n not in _AGREED]
    chosen = next((v.decode("latin-1") for n, v in fields if n == b"sec-websocket-protocol"), None)
    tunnel.claim(agreed(head))
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": more})
    clock = asyncio.get_running_loop().time
    last = clock()

    async def to_upstream(data: bytes) -> None:
        connection.write(data)
        await connection.drained()

    async def pass_on(way: Way) -> None:
        nonlocal last
        while data := await way.read():
            last = clock()
            whole = way.frames.passed(data)
            if whole and closing.is_set():
                way.cut = True
                await way.write(data[:whole])
                return
            await way.write(data)

    up = Way(tunnel.read, to_upstream, going_away(ConnectionType.CLIENT))
    down = Way(connection.read, tunnel.write, going_away(ConnectionType.SERVER))
    tasks = {way: asyncio.create_task(pass_on(way)) for way in (up, down)}
    leaving = asyncio.ensure_future(closing.wait())
    try:
        while not leaving.done() and not any(task.done() for task in tasks.values()):
            left = last + idle - clock()
            if left <= 0:
                break
            await asyncio.wait((*tasks.values(), leaving), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        # One that was cut may be done before this is looked at.
        both = not any(task.done() and not way.cut for way, task in tasks.items())
        if both and leaving.done() and (within := [task for way, task in tasks.items() if not way.frames.between]):
            await asyncio.wait(within, timeout=PATIENCE)
        await _stop(*tasks.values())
        if both:
            await _say_goodbye(up, down)
    finally:
        await _stop(leaving, *tasks.values())
        tunnel.close()
    if both and not leaving.done():
        raise Slow(f"both sides were silent for {idle:g}s")


async def _stop(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _say_goodbye(*ways: Way) -> None:
    """Write a close frame each way where a frame may begin, and wait for theirs: who closes a connection over what was
    not read resets it, and what was written last is lost."""

    async def rest(way: Way) -> None:
        while not way.frames.closed and (data := await way.read()):
            way.frames.passed(data)

    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(PATIENCE):
            for way in ways:
                if (way.cut or way.frames.between) and not way.frames.closed:
                    await way.write(way.goodbye)
            await asyncio.gather(*(rest(way) for way in ways), return_exceptions=True)


async def until_closing(work: asyncio.Task[None], closing: Closing) -> None:
    """Run until it is done, or the route leaves service."""
    leaving = asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not work.done():
            work.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)
    if not work.cancelled() and (error := work.exception()) is not None:
        raise error


def key_of(scope: Scope) -> bytes:
    return header(scope, b"sec-websocket-key") or b""

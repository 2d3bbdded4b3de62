"""A WebSocket on its way through: after the handshake, bytes both ways.

Frames are not looked at, so pings, close codes, fragments and extensions are what the two ends make of them, and a
slow end holds back the other one alone. Where the client's connection cannot be had as bytes (HTTP/2, middleware that
changes messages), `relay` passes messages on instead.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac

from vidops.api import Closing, Scope, Send, Tunnel, header
from vidops_plugins.handlers.proxy import heads
from vidops_plugins.handlers.proxy.exchange import Slow
from vidops_plugins.handlers.proxy.wire import Broken, Connection, Head

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_AGREED = (b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions")


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


async def pump(send: Send, tunnel: Tunnel, connection: Connection, head: Head, *, idle: float) -> None:
    """Open the client's side as the upstream opened its own, and pass bytes on until one side ends.

    `idle`: seconds that both may be silent.
    """
    fields = heads.end_to_end(head.headers)
    more = [(n, v) for n, v in fields if n not in _AGREED]
    chosen = next((v.decode("latin-1") for n, v in fields if n == b"sec-websocket-protocol"), None)
    tunnel.claim(agreed(head))
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": more})
    clock = asyncio.get_running_loop().time
    last = clock()

    async def up() -> None:
        nonlocal last
        while data := await tunnel.read():
            last = clock()
            connection.write(data)
            await connection.drained()

    async def down() -> None:
        nonlocal last
        while data := await connection.read():
            last = clock()
            await tunnel.write(data)

    ways = [asyncio.create_task(up()), asyncio.create_task(down())]
    try:
        while True:
            left = last + idle - clock()
            if left <= 0:
                raise Slow(f"both sides were silent for {idle:g}s")
            done, _ = await asyncio.wait(ways, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done:
                break
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        tunnel.close()


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

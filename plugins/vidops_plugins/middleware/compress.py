"""Smaller answers for whoever takes them: zstd, Brotli, gzip (RFC 9110, 8.4).

Left alone: streams, ranges, what is compressed already or says `no-transform`, what sets a cookie, and the paths that
the stack file names because a secret stands there beside what a client sent: its length would tell the secret (BREACH).
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
import zlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Message,
    Options,
    Receive,
    Scope,
    Send,
    Size,
    accepted_codings,
    direct_of,
)

IN_THREAD = 64 * 1024
"""Bytes from which on compressing takes milliseconds, in which nobody else would be served."""
_TEXTUAL = re.compile(
    rb"text/(?!event-stream)|application/(?:[a-z0-9.+-]*\+)?(?:json|xml)\b|application/(?:javascript|wasm|manifest\+json)"
    rb"|image/svg\+xml|application/vnd\.apple\.mpegurl"
)
_LEFT = frozenset((b"content-encoding", b"content-range", b"set-cookie"))
_DIGESTS = frozenset((b"content-digest", b"content-md5", b"digest", b"repr-digest"))
_OF_OTHER_BYTES = _DIGESTS | {b"content-length", b"accept-ranges"}
"""What an answer says of the bytes that it had before."""
MOST_TAGS = 100
Coding = Literal["zstd", "br", "gzip"]


class Compress(Options):
    """Compresses texts."""

    encodings: Annotated[tuple[Coding, ...], Field(min_length=1, max_length=3)] = ("zstd", "br", "gzip")
    """Which, the preferred first."""
    min_size: Size = "1KiB"  # type: ignore[assignment]
    """Bytes from which on it is worth it."""
    except_paths: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)
    """Globs of paths whose answers hold a secret beside what the client sent, such as a form with a token."""


class Packer(Protocol):
    """One body. `pack` gives what the client can read so far, `end` the rest."""

    def pack(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...


class Gzip:
    def __init__(self) -> None:
        self._way = zlib.compressobj(6, zlib.DEFLATED, 31)

    def pack(self, data: bytes) -> bytes:
        return self._way.compress(data) + self._way.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._way.flush()


class Brotli:
    def __init__(self) -> None:
        import brotli

        self._way: Any = brotli.Compressor(quality=4)

    def pack(self, data: bytes) -> bytes:
        return bytes(self._way.process(data) + self._way.flush())

    def end(self) -> bytes:
        return bytes(self._way.finish())


class Zstd:
    def __init__(self) -> None:
        import zstandard

        self._flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        # RFC 9659: a window of at most 8 MiB; level 3 stays far below.
        self._way: Any = zstandard.ZstdCompressor(level=3).compressobj()

    def pack(self, data: bytes) -> bytes:
        return bytes(self._way.compress(data) + self._way.flush(self._flush))

    def end(self) -> bytes:
        return bytes(self._way.flush())


PACKERS: dict[str, Callable[[], Packer]] = {"gzip": Gzip, "br": Brotli, "zstd": Zstd}


def build(options: Compress, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    secret = [re.compile(fnmatch.translate(glob)) for glob in options.except_paths]

    def wrap(app: ASGIApp) -> ASGIApp:
        async def compressed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or any(pattern.fullmatch(scope["path"]) for pattern in secret):
                await app(scope, receive, send)
            else:
                await app(scope, receive, Answer(scope, send, options))

        return compressed

    return wrap


class Answer:
    """`send` of one request, whose body may shrink on its way."""

    def __init__(self, scope: Scope, send: Send, options: Compress) -> None:
        self._scope = scope
        self._send = send
        self._options = options
        self._packer: Packer | None = None

    async def __call__(self, message: Message) -> None:
        """ASGI's `send`."""
        if message["type"] == "http.response.start":
            message = self._start(message)
        elif message["type"] == "http.response.body" and self._packer is not None:
            message = await self._part(self._packer, message)
        elif message["type"] == "http.response.trailers" and self._packer is not None:
            message = {**message, "headers": [f for f in message.get("headers", ()) if f[0].lower() not in _DIGESTS]}
        await self._send(message)

    def _start(self, message: Message) -> Message:
        headers = [(n.lower(), v) for n, v in message.get("headers", ())]
        if message["status"] == 304:
            return {**message, "headers": self._unchanged(headers)}
        direct = direct_of(self._scope)
        if not compressible(int(message["status"]), headers, self._options.min_size) or (direct and direct.claimed):
            return message
        headers.append((b"vary", b"accept-encoding"))
        accepted = accepted_codings(self._scope, self._options.encodings)
        if not accepted:
            return {**message, "headers": headers}
        if self._scope["method"] != "HEAD":
            self._packer = PACKERS[accepted[0]]()
        kept = [(n, weak(v) if n == b"etag" else v) for n, v in headers if n not in _OF_OTHER_BYTES]
        return {**message, "headers": [*kept, (b"content-encoding", accepted[0].encode())]}

    def _unchanged(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """As the 200 said of what the client has (RFC 9110, 15.4.5): which tag it asks by tells which one it got."""
        found = dict(headers)
        kind = found.get(b"content-type")
        if found.keys() & _LEFT or b"no-transform" in found.get(b"cache-control", b"").lower():
            return headers
        if kind is not None and not _TEXTUAL.match(kind.lower()):
            return headers
        asked = [v for n, v in self._scope["headers"] if n == b"if-none-match"]
        held = {tag.strip() for tag in b",".join(asked).split(b",")[:MOST_TAGS]}
        kept = [(n, weak(v) if n == b"etag" and v not in held and weak(v) in held else v) for n, v in headers]
        return [*kept, (b"vary", b"accept-encoding")]

    async def _part(self, packer: Packer, message: Message) -> Message:
        data: bytes = message.get("body", b"")
        if len(data) >= IN_THREAD:
            packed = await asyncio.to_thread(packer.pack, data)
        else:
            packed = packer.pack(data) if data else b""
        if not message.get("more_body", False):
            packed += packer.end()
        return {**message, "body": packed}


def compressible(status: int, headers: list[tuple[bytes, bytes]], least: int) -> bool:
    """Whether an answer is a whole text that may be changed on its way."""
    if status < 200 or status in (204, 206, 304):
        return False
    found = dict(headers)
    length = found.get(b"content-length")
    return (
        not found.keys() & _LEFT
        and _TEXTUAL.match(found.get(b"content-type", b"").lower()) is not None
        and b"no-transform" not in found.get(b"cache-control", b"").lower()
        and (length is None or (length.isdigit() and int(length[:20]) >= least))
    )


def weak(tag: bytes) -> bytes:
    """The bytes are others: only their meaning is the same."""
    return tag if tag.startswith(b"W/") else b"W/" + tag

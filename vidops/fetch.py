"""One bounded HTTP exchange, for what plugins have to ask of others now and then: keys, tokens, directories.

Not for proxying. No redirect is followed, no proxy of the environment is used, no connection is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from vidops.errors import TemporaryError

if TYPE_CHECKING:
    import ssl

    import h11

MAX_BYTES = 1024 * 1024
_CHUNK = 65536


def plain_url(value: str) -> str:
    """The URL, if it is one that may be shown: credentials in it would be, too."""
    parts = urlsplit(value)
    try:
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or not value.isascii() or any(c <= " " or c in "\x7f\\" for c in value):
        raise ValueError("not a URL: write http://host/path or https://host/path")
    if parts.username is not None or parts.fragment:
        raise ValueError("a URL is shown in plans and logs: no user, password or fragment in it")
    return value


Url = Annotated[str, Field(max_length=2000), AfterValidator(plain_url)]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Names of headers in lower case; of several of one name the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout: float = 5.0,
    max_bytes: int = MAX_BYTES,
    cafile: str = "",
) -> Fetched:
    """The whole exchange takes at most `timeout` seconds, the answer's body at most `max_bytes`.

    `cafile`: a PEM file of the authorities to trust in place of the system's. Raises `TemporaryError` (reason
    Unreachable) for everything that is no whole answer; its text names the URL without its query.
    """
    import h11

    try:
        async with asyncio.timeout(timeout):
            return await _exchange(_Request(url, method, headers or {}, body), max_bytes, cafile)
    except TimeoutError:
        raise _no(url, f"no answer within {timeout:g}s") from None
    except (OSError, ValueError, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
        raise _no(url, getattr(error, "strerror", None) or str(error) or type(error).__name__) from None


@dataclass(frozen=True, slots=True)
class _Request:
    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes


async def _exchange(request: _Request, max_bytes: int, cafile: str) -> Fetched:
    import h11

    parts = urlsplit(request.url)
    secure = parts.scheme == "https"
    context = _context(cafile) if secure else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fixed = {"Host": parts.netloc, "User-Agent": "vidops", "Connection": "close", **request.headers}
        if request.body:
            fixed["Content-Length"] = str(len(request.body))
        connection = h11.Connection(h11.CLIENT)
        head = connection.send(h11.Request(method=request.method, target=target, headers=list(fixed.items()))) or b""
        data = (connection.send(h11.Data(data=request.body)) or b"") if request.body else b""
        writer.write(head + data + (connection.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        return await _answer(connection, reader, max_bytes)
    finally:
        writer.close()


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader, max_bytes: int) -> Fetched:
    import h11

    status, headers, body = 0, dict[str, str](), bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > max_bytes:
                raise ValueError(f"an answer of more than {max_bytes} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return Fetched(status, headers, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise ValueError("the connection ended early")


@lru_cache(maxsize=16)
def _context(cafile: str) -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context(cafile=cafile or None)


def _no(url: str, what: str) -> TemporaryError:
    return TemporaryError(f"{url.partition('?')[0]}: {what}", reason="Unreachable")

"""`ports.ControlPlane`: one bounded HTTP exchange over the control plane's unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import h11

from vidops.errors import PermanentError, TemporaryError

TIMEOUT = 3.0
MAX_BYTES = 8 * 1024 * 1024
_CHUNK = 65536


class ControlPlaneClient:
    """`socket_path` is `Layout.control_socket`; `timeout` in seconds, for the whole exchange."""

    def __init__(self, socket_path: str, *, timeout: float = TIMEOUT) -> None:
        self._path = socket_path
        self._timeout = timeout

    async def status(self) -> Mapping[str, object]:
        """Raises `TemporaryError` (reason ControlPlaneDown) for everything that is not a good answer in time."""
        status, answer = await self._exchange("GET", "/v1/status", b"")
        if status != 200:
            raise _down(f"gives no usable answer: HTTP {status}")
        return answer

    async def post(self, path: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """See `ports.ControlPlane`."""
        status, answer = await self._exchange("POST", path, json.dumps(body).encode())
        if status >= 400:
            reason = str(answer.get("reason") or "Refused")
            raise PermanentError(str(answer.get("detail") or f"HTTP {status}"), reason=reason)
        return answer

    async def _exchange(self, method: str, path: str, content: bytes) -> tuple[int, Mapping[str, object]]:
        try:
            async with asyncio.timeout(self._timeout):
                status, body = await self._ask(method, path, content)
                answer = json.loads(body)
        except TimeoutError:
            raise _down(f"does not answer within {self._timeout:g}s") from None
        except (FileNotFoundError, ConnectionError):
            raise _down("does not run (streams and recordings go on without it)") from None
        except (OSError, ValueError, RecursionError, h11.RemoteProtocolError) as error:
            raise _down(f"gives no usable answer: {error}") from None
        if not isinstance(answer, dict):
            raise _down("gives no usable answer: not a JSON object")
        return status, answer

    async def _ask(self, method: str, path: str, content: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            connection = h11.Connection(h11.CLIENT)
            headers = [("Host", "localhost"), ("Connection", "close")]
            if content:
                headers += [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
            request = connection.send(h11.Request(method=method, target=path, headers=headers)) or b""
            body = (connection.send(h11.Data(data=content)) or b"") if content else b""
            writer.write(request + body + (connection.send(h11.EndOfMessage()) or b""))
            await writer.drain()
            return await _body(connection, reader)
        finally:
            writer.close()


async def _body(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body, of at most MAX_BYTES; raises ValueError for anything else."""
    body = bytearray()
    status = 0
    while True:
        event: Any = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise ValueError("the connection ended early")


def _down(what: str) -> TemporaryError:
    return TemporaryError(f"the control plane {what}", reason="ControlPlaneDown")

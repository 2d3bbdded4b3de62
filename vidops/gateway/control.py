"""The gateway's control socket (0600): one JSON line in, one JSON line out, several requests a connection.

{"op": "reload"}   {"ok": true, "generation": 3}  or  {"ok": false, "reason": "BindFailed", "error": "..."}
{"op": "status"}   {"ok": true, "generation", "fingerprint", "binds", "connections", "streams", "requests", "rss"}
{"op": "drain"}    {"ok": true}, and the process ends in good order
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from vidops.errors import PermanentError, TemporaryError
from vidops.gateway.gateway import Gateway
from vidops.resources.resource import JSON

MAX_LINE = 64 * 1024
IDLE_TIMEOUT = 60.0


class ControlSocket:
    """`drain` is called for the op of that name."""

    def __init__(
        self, gateway: Gateway, path: str, drain: Callable[[], None], log: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._gateway = gateway
        self._path = path
        self._drain = drain
        self._log = log
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE)
        finally:
            os.umask(mask)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            while True:
                try:
                    async with asyncio.timeout(IDLE_TIMEOUT):
                        line = await reader.readline()
                except ValueError:
                    writer.write(_line(_no("InvalidRequest", f"a request has at most {MAX_LINE} bytes")))
                    break
                if not line:
                    break
                writer.write(_line(await self.answer(line)))
                await writer.drain()
        writer.close()

    async def answer(self, line: bytes) -> JSON:
        """The answer to one request, whatever it holds."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _no("InvalidRequest", "not a line of JSON")
        op = request.get("op") if isinstance(request, dict) else None
        if op == "status":
            return {"ok": True, **self._gateway.status()}
        if op == "reload":
            return await self._reload()
        if op == "drain":
            self._drain()
            return {"ok": True}
        return _no("InvalidRequest", "op is one of reload, status, drain")

    async def _reload(self) -> JSON:
        try:
            return {"ok": True, "generation": await self._gateway.load()}
        except (PermanentError, TemporaryError) as error:
            return _no(error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - a plugin's, say; what was served before is served as before
            self._log({"level": "error", "event": "reload_failed", "error": repr(error)})
            return _no("ReloadFailed", f"{type(error).__name__}: {error}")


def _no(reason: str, error: str) -> JSON:
    return {"ok": False, "reason": reason, "error": error}


def _line(answer: JSON) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"

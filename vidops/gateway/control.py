"""The gateway's control socket (0600): one JSON line in, one JSON line out, several requests a connection.

{"op": "reload"}   {"ok": true, "generation": 3}  or  {"ok": false, "reason": "BindFailed", "error": "..."}
{"op": "status"}   {"ok": true, "pid", "generation", "fingerprint", "binds", "connections", "streams", "requests",
                   "rss", "trouble"}: `trouble` is why newer certificates are not served, {"reason", "message"} or {}
{"op": "renew"}    {"ok": true}, or like reload: what is served already, with the certificates that its files hold now
{"op": "drain"}    {"ok": true}, and the process ends in good order
{"op": "metrics"}  {"ok": true, "worker", "text"}: what it has counted, in Prometheus' text format
{"op": "share"}    a line for each bind with its sockets' descriptors, then {"ok": true} (see handover.py)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from vidops.errors import PermanentError, TemporaryError
from vidops.gateway import handover
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
        self._inode = 0

    async def open(self) -> None:
        """In the place of a process before this one, which may still be there: there is always one that answers."""
        # Like no gateway's name; removed with theirs, should this process end in between.
        own = f"{os.path.dirname(self._path)}/~{os.getpid()}.sock"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(own)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            sock.bind(own)
        finally:
            os.umask(mask)
        self._inode = os.lstat(own).st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=MAX_LINE)
        os.rename(own, self._path)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(self._path).st_ino == self._inode:
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
                if line == handover.REQUEST:
                    handover.send(writer.get_extra_info("socket").fileno(), self._gateway.share())
                    continue
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
        if op == "renew":
            return await self._renew()
        if op == "metrics":
            return {"ok": True, "worker": self._gateway.worker, "text": self._gateway.metrics.text().decode()}
        if op == "drain":
            self._drain()
            return {"ok": True}
        return _no("InvalidRequest", "op is one of reload, renew, status, metrics, drain, share")

    async def _reload(self) -> JSON:
        try:
            return {"ok": True, "generation": await self._gateway.load()}
        except (PermanentError, TemporaryError) as error:
            return _no(error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - a plugin's, say; what was served before is served as before
            self._log({"level": "error", "event": "reload_failed", "error": repr(error)})
            return _no("ReloadFailed", f"{type(error).__name__}: {error}")

    async def _renew(self) -> JSON:
        try:
            await self._gateway.renewal.now()
        except PermanentError as error:
            return _no(error.reason, str(error))
        return {"ok": True}


def _no(reason: str, error: str) -> JSON:
    return {"ok": False, "reason": reason, "error": error}


def _line(answer: JSON) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"

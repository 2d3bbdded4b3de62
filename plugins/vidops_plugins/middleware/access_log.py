"""One line of JSON for each request, written at its end, whatever that was; streams and WebSockets too."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import Field

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Message,
    Options,
    Receive,
    Scope,
    Send,
    TemporaryError,
    direct_of,
    header,
    noted,
)
from vidops_plugins.middleware.journal import INFO, WARNING, Journal

Write = Callable[[Mapping[str, Any]], None]
FAILED = 500
_MAX_TEXT = 500
_SECRET_WORDS = ("token", "key", "secret", "password", "passwd", "auth", "sig", "signature", "code", "jwt", "session",
                 "pwd", "passphrase", "credential", "bearer", "ticket", "assertion")  # fmt: skip


class AccessLog(Options):
    """Writes a line for each request: time, client, host, method, path, status, bytes, duration, route, user agent; and
    who asked and for which tenant, where the chain finds that out."""

    sample: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Which part of the requests is written: 0.1 is one in ten. What failed (500 and more) always is."""
    to: Literal["log", "journal"] = "log"
    """`log`: lines of JSON, where `vidops logs` finds them. `journal`: systemd's journal, each member a field
    (`journalctl VIDOPS_STATUS=503`); what the journal does not take is written to the log."""
    redact: tuple[str, ...] = Field(default=())
    """More query fields whose values are not written; those that look like secrets never are."""


def build(options: AccessLog, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    words = (*_SECRET_WORDS, *(name.lower() for name in options.redact))
    write = context.log
    if options.to == "journal":
        journal = Journal()
        context.stopped.append(journal.close)
        write = _to_journal(journal, context.log)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def logged(scope: Scope, receive: Receive, send: Send) -> None:
            count = _Count(send)
            began = time.monotonic()
            end = "complete"
            try:
                await app(scope, receive, count)
            except asyncio.CancelledError:
                end = "cancelled"
                raise
            except Exception as error:
                end = "error"
                count.status = count.status or answered(error)
                raise
            finally:
                seconds = time.monotonic() - began
                # No secret hangs on it.
                if count.status >= FAILED or options.sample >= 1 or random.random() < options.sample:  # noqa: S311
                    write(_record(scope, count, seconds=seconds, end=end, route=context.route, words=words))

        return logged

    return wrap


def answered(error: Exception) -> int:
    """The status by which the gateway answers an error that no handler has."""
    if isinstance(error, TemporaryError):
        return 503
    status = getattr(error, "status", 500)
    return status if isinstance(status, int) else 500


def _to_journal(journal: Journal, otherwise: Write) -> Write:
    def write(record: Mapping[str, Any]) -> None:
        failed = record["status"] >= FAILED
        message = f"{record['method']} {record['path']} {record['status']} {record['seconds']:.3f}s"
        if not journal.write(message, WARNING if failed else INFO, record):
            otherwise(record)

    return write


class _Count:
    """Passes messages on and notes what they say."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self.bytes = 0
        self._send = send

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.body", "websocket.http.response.body"):
            self.bytes += len(message.get("body", b""))
        elif kind in ("http.response.start", "websocket.http.response.start"):
            self.status = int(message["status"])
        elif kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.close":
            self.status = self.status or 403  # which is what it is before the handshake
        elif kind == "websocket.send":
            self.bytes += len(message.get("bytes") or message.get("text") or b"")
        await self._send(message)


def _record(
    scope: Scope, count: _Count, *, seconds: float, end: str, route: str, words: tuple[str, ...]
) -> dict[str, Any]:
    direct = direct_of(scope)
    client, query = noted(scope, "client"), scope["query_string"]
    record: dict[str, Any] = {
        "event": "request",
        "client": client[0] if client else "",
        "method": scope.get("method", "WEBSOCKET"),
        "path": _text(scope["raw_path"]),
        "query": redacted(_text(query), words) if query else "",
        "route": route,
        "status": count.status,
        "bytes": count.bytes + (direct.sent if direct is not None else 0),
        "seconds": round(seconds, 6),
        "http": scope["http_version"],
        "host": _text(header(scope, b"host") or b""),
        "user_agent": _text(header(scope, b"user-agent") or b""),
        "end": end,
    }
    for member in ("request_id", "trace_id", "user", "tenant"):
        if (value := noted(scope, f"vidops.{member}")) is not None:
            record[member] = value if isinstance(value, str) else value.name
    return record


def _text(value: bytes) -> str:
    return value[:_MAX_TEXT].decode("latin-1")


def redacted(query: str, words: tuple[str, ...] = _SECRET_WORDS) -> str:
    """The query with the values of secret-looking fields replaced."""

    def field(match: re.Match[str]) -> str:
        name, value = match.groups()
        # A percent sign in a name may hide any word; a value may be an address with a query of its own.
        hidden = "%" in name or _tells(name, words) or any(_tells(inner, words) for inner in _names_within(value))
        return f"{name}=***" if hidden else match.group(0)

    return re.sub(r"([^&;=]*)=([^&;]*)", field, query)


def _tells(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name.lower() for word in words)


def _names_within(value: str) -> list[str]:
    """The names of fields of an address that a query's field holds, encoded once or twice."""
    text = unquote(unquote(value)) if "%" in value else value
    return [re.split(r"[?&;#]", piece)[-1] for piece in text.split("=")[:-1]]

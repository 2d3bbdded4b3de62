"""What goes beside an answer's head and body, where Hypercorn has no way for it: interim responses (RFC 9110, 15.2), of
which it knows early hints over HTTP/2 and nothing over HTTP/1.1, and trailers over HTTP/1.1."""

from __future__ import annotations

from typing import Any

from hypercorn.protocol.events import InformationalResponse, Trailers
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream

from vidops.asgi import INTERIM
from vidops.resources.catalogue import Message, Scope

TRAILERS = "http.response.trailers"


def extensions(http_version: str) -> dict[str, Any]:
    """For `scope["extensions"]`. A client of HTTP/1.0 knows neither."""
    return {} if http_version == "1.0" else {INTERIM: {}, TRAILERS: {}}


def offer(scope: Scope) -> None:
    if scope["type"] == "http":
        scope["extensions"].update(extensions(scope["http_version"]))


def passes_by(scope: Scope, message: Message) -> bool:
    """Whether `send` below takes this in the place of the stream's own."""
    kind: str = message["type"]
    return kind == INTERIM or (kind == TRAILERS and bool(scope["http_version"] == "1.1"))


async def send(stream: HTTPStream, message: Message) -> None:
    """To the client of `stream`. Raises `RuntimeError` where it is too late or too early."""
    due = ASGIHTTPState.REQUEST if message["type"] == INTERIM else ASGIHTTPState.TRAILERS
    if stream.closed:
        return
    if stream.state is not due:
        raise RuntimeError(f"{message['type']} cannot be sent now")
    fields = list(message.get("headers", ()))
    if due is ASGIHTTPState.REQUEST:
        await stream.send(InformationalResponse(stream.stream_id, headers=fields, status_code=message["status"]))
        return
    await stream.send(Trailers(stream.stream_id, headers=fields))
    if not message.get("more_trailers", False):
        await stream._send_closed()

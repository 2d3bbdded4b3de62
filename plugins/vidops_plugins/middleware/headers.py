"""Header fields set and taken away, on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from vidops.api import FIELDS_SET, INTERIM, ASGIApp, GatewayContext, Message, Options, Receive, Scope, Send
from vidops_plugins.middleware.fields import FieldName, FieldValue, filled


class Change(Options):
    set: dict[FieldName, FieldValue] = Field(default_factory=dict)
    """Fields in the place of whatever is there. Values may hold {user}, {roles}, {tenant}, {client}, {host}, {scheme},
    {path}, {request_id} and {certificate} (the subject of the client's). Signs other than ASCII's are written in
    percent (UTF-8), `%` itself as `%25`, and a comma in a role as `%2C`: read them back before you compare names.
    {path} and {host} have only what is not ASCII changed."""
    remove: list[FieldName] = Field(default_factory=list)
    """Fields that do not go on."""


class Headers(Options):
    """Changes the header fields of requests and answers."""

    request: Change = Change()
    response: Change = Change()


def build(options: Headers, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    inward, outward = _changer(options.request), _changer(options.response)
    names = frozenset(name.encode() for name in options.request.set)
    early = _changer(Change(remove=[*options.response.set, *options.response.remove]))

    def wrap(app: ASGIApp) -> ASGIApp:
        async def changed(scope: Scope, receive: Receive, send: Send) -> None:
            inner = {**scope, "headers": inward(scope, scope["headers"])}
            if names:
                inner[FIELDS_SET] = scope.get(FIELDS_SET, frozenset()) | names

            async def answer(message: Message) -> None:
                if message["type"].endswith("response.start") or message["type"] == "websocket.accept":
                    message = {**message, "headers": outward(scope, message.get("headers", ()))}
                elif message["type"] == INTERIM:
                    message = {**message, "headers": early(scope, message["headers"])}
                await send(message)

            await app(inner, receive, answer)

        return changed

    return wrap


Fields = list[tuple[bytes, bytes]]


def _changer(change: Change) -> Callable[[Scope, Fields], Fields]:
    gone = {name.encode() for name in (*change.set, *change.remove)}
    wanted = [(name.encode(), text) for name, text in change.set.items()]

    def apply(scope: Scope, fields: Fields) -> Fields:
        if not gone:
            return fields
        kept = [(n, v) for n, v in fields if n.lower() not in gone]
        return [*kept, *((name, filled(text, scope)) for name, text in wanted)]

    return apply

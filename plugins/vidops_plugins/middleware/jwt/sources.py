"""Where a request has its token, and the request without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus

from vidops.api import Scope
from vidops_plugins.middleware.jwt.options import TokenPlace


class SeveralTokensError(Exception):
    """More than one token: which is meant?"""


def find_token(scope: Scope, places: Sequence[TokenPlace]) -> bytes | None:
    """The token of a request; None without any. Raises `SeveralTokensError` for different ones."""
    found: bytes | None = None
    for place in places:
        for token in _in(scope, place):
            if found is not None and token != found:
                raise SeveralTokensError
            found = token
    return found


def _in(scope: Scope, place: TokenPlace) -> Iterator[bytes]:
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    if place.header is not None:
        wanted = place.header.lower().encode()
        for name, value in headers:
            if name == wanted and (token := _bare(wanted, value)) is not None:
                yield token
    elif place.cookie is not None:
        prefix = place.cookie.encode() + b"="
        for crumb in _crumbs(headers):
            if crumb.startswith(prefix) and len(crumb) > len(prefix):
                yield crumb[len(prefix) :].strip(b'"')
    elif place.subprotocol is not None:
        for offered in scope.get("subprotocols") or ():
            if offered.startswith(place.subprotocol) and len(offered) > len(place.subprotocol):
                yield str(offered[len(place.subprotocol) :]).encode("latin-1", "replace")
    elif place.query is not None:
        for field, value in _fields(scope):
            if field == place.query and value:
                yield unquote_plus(value.decode("latin-1"), "latin-1").encode("latin-1", "replace")


def _bare(name: bytes, value: bytes) -> bytes | None:
    if name != b"authorization":
        return value.strip() or None
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _crumbs(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for name, value in headers:
        if name == b"cookie":
            yield from (crumb.strip() for crumb in value.split(b";"))


def _fields(scope: Scope) -> Iterator[tuple[str, bytes]]:
    for field in scope["query_string"].split(b"&"):
        name, _, value = field.partition(b"=")
        yield unquote_plus(name.decode("latin-1")), value


def without_token(scope: Scope, places: Sequence[TokenPlace]) -> dict[str, Any]:
    """What to change in the scope so that what comes after sees no token. A subprotocol with one is not offered on."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    changed: dict[str, Any] = {}
    for place in places:
        if place.header is not None:
            wanted = place.header.lower().encode()
            headers = [(n, v) for n, v in headers if n != wanted or _bare(wanted, v) is None]
        elif place.cookie is not None:
            headers = list(_without_cookie(headers, place.cookie.encode() + b"="))
        elif place.subprotocol is not None and scope["type"] == "websocket":
            kept = [one for one in scope.get("subprotocols") or () if not one.startswith(place.subprotocol)]
            changed["subprotocols"] = kept
            headers = [(n, v) for n, v in headers if n != b"sec-websocket-protocol"]
            if kept:
                headers.append((b"sec-websocket-protocol", ", ".join(kept).encode("latin-1")))
        elif place.query is not None:
            fields = scope["query_string"].split(b"&")
            kept_fields = [f for f, (name, _) in zip(fields, _fields(scope), strict=True) if name != place.query]
            changed["query_string"] = b"&".join(kept_fields)
    return {**changed, "headers": headers}


def _without_cookie(headers: Sequence[tuple[bytes, bytes]], prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name != b"cookie" or prefix not in value:
            yield name, value
        elif left := [crumb for crumb in (c.strip() for c in value.split(b";")) if not crumb.startswith(prefix)]:
            yield name, b"; ".join(left)

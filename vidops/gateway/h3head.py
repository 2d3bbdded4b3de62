"""The head of a request over HTTP/2 or HTTP/3 as an application's scope has it (RFC 9114, 4.3). Pure; what a head of
HTTP/1 is refused for is refused by the guard, here as there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vidops.gateway.config import MAX_HEAD

FIELD_COST = 32
"""What a field counts beside its bytes (RFC 9114, 4.2.2)."""

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
Fields = Sequence[tuple[bytes, bytes]]


class Refused(Exception):
    """Not a request that an application could be asked. `status`: what is answered."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """`fields`: with the authority as Host. `length`: of the body, where it is announced."""

    method: str
    path: bytes
    websocket: bool
    fields: list[tuple[bytes, bytes]]
    length: int | None


def is_request(fields: Fields) -> bool:
    """Others are trailers, in which aioquic allows no pseudo-header."""
    return any(name == b":method" for name, _ in fields)


def read(fields: Fields, *, schemes: Sequence[bytes] = (b"https",)) -> Head:
    """Raises `Refused`."""
    if sum(len(name) + len(value) + FIELD_COST for name, value in fields) > MAX_HEAD:
        raise Refused(431)
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if not _METHOD.fullmatch(method) or not path.isascii() or pseudo.get(b":scheme") not in schemes:
        raise Refused(400)
    if any(name == b"content-length" and not value.isdigit() for name, value in fields):
        raise Refused(400)
    if b":protocol" in pseudo and method != b"CONNECT":
        raise Refused(400)
    websocket = method == b"CONNECT" and pseudo.get(b":protocol") == b"websocket"
    if method == b"CONNECT" and not websocket:
        raise Refused(501)
    # A request that came by HTTP/1 before may have Host alone (RFC 9113, 8.3.1).
    authority = pseudo.get(b":authority", next((value for name, value in fields if name == b"host"), b""))
    # A Host that says otherwise stays beside it, and the guard refuses two.
    plain = [f for f in fields if not f[0].startswith(b":") and f != (b"host", authority)]
    cookies = [value for name, value in plain if name == b"cookie"]
    if len(cookies) > 1:  # RFC 9114, 4.2.1
        plain = [f for f in plain if f[0] != b"cookie"] + [(b"cookie", b"; ".join(cookies))]
    length = None if websocket else next((int(value) for name, value in plain if name == b"content-length"), None)
    return Head(method.decode().upper(), path, websocket, [(b"host", authority), *plain], length)

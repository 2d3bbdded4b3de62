"""What no chain should ever see: requests that two servers could read differently. Pure.

Refused: Content-Length together with Transfer-Encoding, Transfer-Encoding in HTTP/1.0 (RFC 9112, 6.1), a target that
names another host than Host, a bad or missing Host (RFC 9112, 3.2; HTTP/1.0 may have none), an upgrade to h2c, paths in
which an encoded separator, a NUL, a control character, a fragment, a dot segment or an empty segment could mean one
thing to a rule and another to what it guards, and methods and queries with a blank. What is left is decoded once;
matching, authorisation and handlers all see that one path. Names of headers with underscores are dropped: CGI-like
servers take `X_User` for `X-User`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from vidops.resources.catalogue import Scope

MAX_TARGET = 8192
MAX_HEADERS = 100

Headers = Sequence[tuple[bytes, bytes]]

_FOR_THIS_HOP = frozenset(
    (b"close", b"connection", b"content-length", b"host", b"http2-settings", b"keep-alive", b"te", b"trailer",
     b"transfer-encoding", b"upgrade", b"expect")
)  # fmt: skip

_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._~-]{0,251}[A-Za-z0-9._~])?)(?::([0-9]{1,5})?)?"
)
_TARGET = re.compile(rb"(?:[!$&-;=@A-Z_a-z~]|%[0-9A-Fa-f]{2}|[\[\]^|`\"<>{}])+")
_QUERY = re.compile(rb"[^\x00-\x20\x7f]*")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_FORBIDDEN_CODES = re.compile(rb"%(?:2[fF]|5[cC]|[01][0-9A-Fa-f]|7[fF])")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)(.*)", re.DOTALL)


class Refused(Exception):
    """The request is not served. `status` and the text go to the client; the connection ends."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Request(NamedTuple):
    """What remains: the decoded path, its raw form, and the headers that are passed on."""

    path: str
    raw_path: bytes
    headers: list[tuple[bytes, bytes]]


def check(scope: Scope) -> Request:
    """Raises `Refused`."""
    version = str(scope.get("http_version", "1.1"))
    # HTTP/1's parsers see to these two; in HTTP/2 they are fields, which may hold what is a line elsewhere.
    if not _METHOD.fullmatch(scope.get("method", "GET")):
        raise Refused(400, "the method is not a word")
    if not _QUERY.fullmatch(scope.get("query_string", b"")):
        raise Refused(400, "the query holds characters that no query may hold")
    headers: list[tuple[bytes, bytes]] = list(scope["headers"])
    if len(headers) > MAX_HEADERS:
        raise Refused(431, f"more than {MAX_HEADERS} header fields")
    names = [name for name, _ in headers]
    host = _host(headers, names, version)
    _framing(headers, names, version)
    if b"#" in scope.get("query_string", b""):
        raise Refused(400, "the request target holds a fragment")
    raw = _origin_form(scope["raw_path"], host)
    gone = _nominated(headers) if b"connection" in names else ()
    return Request(decode_path(raw), raw, [field for field in headers if b"_" not in field[0] and field[0] not in gone])


def _nominated(headers: Headers) -> set[bytes]:
    """The names that `Connection` takes away (RFC 9110, 7.6.1): before any chain, whose own fields a client has no say
    in. Those that are for this hop by themselves stay, and those that move a message's end."""
    told = b",".join(value for name, value in headers if name == b"connection")
    return {token.strip().lower() for token in told.split(b",")} - _FOR_THIS_HOP


def _host(headers: Headers, names: Sequence[bytes], version: str) -> bytes:
    count = names.count(b"host")
    if count == 0 and version == "1.0":
        return b""  # HTTP/1.0 has no such field, and probes of load balancers ask without
    if count != 1:
        raise Refused(400, "exactly one Host header is needed")
    host = headers[names.index(b"host")][1]
    found = _HOST.fullmatch(host)
    if not found or int(found.group(1) or 0) > 65535:
        raise Refused(400, "the Host header is not a host")
    return host


def _framing(headers: Headers, names: Sequence[bytes], version: str) -> None:
    encoded = b"transfer-encoding" in names
    if encoded and b"content-length" in names:
        raise Refused(400, "Content-Length and Transfer-Encoding exclude each other")
    if encoded and version == "1.0":
        raise Refused(400, "HTTP/1.0 has no Transfer-Encoding")
    if names.count(b"content-length") > 1:
        raise Refused(400, "more than one Content-Length")
    if b"upgrade" in names and any(b"h2c" in value.lower() for name, value in headers if name == b"upgrade"):
        raise Refused(400, "no upgrade to h2c here")


def _origin_form(target: bytes, host: bytes) -> bytes:
    """The path of a request target; that of an absolute one must name the host that Host names."""
    if len(target) > MAX_TARGET:
        raise Refused(414, f"the path is longer than {MAX_TARGET} bytes")
    if target.startswith(b"/"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if not absolute:
        raise Refused(400, "the request target is not a path")
    if absolute.group(1).lower() != host.lower():
        raise Refused(400, "the request target and Host name different hosts")
    return absolute.group(2) or b"/"


def decode_path(raw: bytes) -> str:
    """A raw path, decoded once. Raises `Refused` where it could be read in two ways."""
    if not _TARGET.fullmatch(raw):
        raise Refused(400, "the path holds characters that no path may hold")
    coded = b"%" in raw
    if coded and _FORBIDDEN_CODES.search(raw):
        raise Refused(400, "the path holds an encoded separator or control character")
    try:
        path = (unquote_to_bytes(raw) if coded else raw).decode()
    except UnicodeDecodeError:
        raise Refused(400, "the path is not UTF-8") from None
    # Servlet containers look for dot segments and empty ones when they have taken parameters (";v=1") away.
    segments = [s.partition(";")[0] for s in path.split("/")] if ";" in path else path.split("/")
    if "." in segments or ".." in segments:
        raise Refused(400, "the path holds a dot segment")
    if "" in segments[1:-1]:
        raise Refused(400, "the path holds an empty segment")
    return path

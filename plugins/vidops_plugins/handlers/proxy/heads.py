"""What of a head goes on to the next hop, and what belongs to this one (RFC 9110, 7.6). Pure."""

from __future__ import annotations

from collections.abc import Iterable

Fields = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
FORWARDED = frozenset(
    (
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-prefix",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
    )
)
"""What only a proxy may say of a request: a client's word for it never goes on. The stack file's does."""
CLAIMS = frozenset(
    (
        b"cf-connecting-ip",
        b"client-ip",
        b"fastly-client-ip",
        b"proxy",
        b"remote-addr",
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-forwarded-for",
        b"x-original-host",
    )
)
"""What some proxies say besides, as by any other `X-Forwarded-*`: it goes on from those that are believed. `Proxy`
is what CGI programs take for the address of theirs."""
_OURS = FORWARDED | {b"host", b"via", b"expect", b"content-length"}
"""What is said anew, if at all."""
VIA = b"1.1 vidops"
TRAILERS_WANTED: Fields = [(b"te", b"trailers"), (b"connection", b"te")]
NEVER_TRAILERS = HOP_BY_HOP | {
    b"age",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expires",
    b"host",
    b"location",
    b"retry-after",
    b"set-cookie",
    b"vary",
    b"www-authenticate",
}
"""What is needed before the body, or says who may see it: after the body it is too late (RFC 9110, 6.5.1)."""


def end_to_end(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Without what is meant for this hop: the known names, and those that `Connection` nominates. Names are in lower
    case. Lengths are not hop-by-hop, whatever a peer nominates: taking one away would move a message's end."""
    fields = list(fields)
    dropped = HOP_BY_HOP
    if told := [value for name, value in fields if name in (b"connection", b"proxy-connection")]:
        nominated = {token.strip().lower() for value in told for token in value.split(b",")}
        dropped = HOP_BY_HOP | nominated - {b"content-length", b"host"}
    return [field for field in fields if field[0] not in dropped]


def interim_fields(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """What of an interim response goes on: no lengths (RFC 9110, 8.6), and no cookies, which the chain looks for in the
    answer."""
    return [field for field in end_to_end(fields) if field[0] not in (b"content-length", b"set-cookie")]


def announced(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """The trailers that `Trailer` announces and that may go on, in lower case."""
    named = (token.strip().lower() for name, value in fields if name == b"trailer" for token in value.split(b","))
    return frozenset(named) - NEVER_TRAILERS - {b""}


def request_fields(
    fields: Iterable[tuple[bytes, bytes]],
    *,
    host: bytes | None,
    chain: Iterable[str],
    scheme: str,
    set_here: frozenset[bytes] = frozenset(),
) -> Fields:
    """The fields of the request that goes on, without framing.

    `host`: what to call the upstream, None to keep what the client called. `chain`, `scheme`: who asks by whom, the
    client first, and how, as far as it can be trusted; whatever else the fields claim of it is dropped. `set_here`:
    names of those that the stack file has set, which it means.
    """
    kept: Fields = []
    ours: dict[bytes, list[bytes]] = {}
    chain = list(chain)
    believed = len(chain) > 1
    for field in fields:
        if field[0] in HOP_BY_HOP:
            continue  # what else a client's `Connection` names went before the chain, whose own fields it has no say in
        if field[0] in _OURS and not (field[0] in FORWARDED and field[0] in set_here):
            ours.setdefault(field[0], []).append(field[1])
        elif believed or field[0] in set_here or not (field[0] in CLAIMS or field[0].startswith(b"x-forwarded")):
            kept.append(field)
    asked = ours.get(b"host", [b""])[0]
    told = [
        (b"x-forwarded-for", ", ".join(chain).encode("latin-1", "replace")),
        (b"x-forwarded-host", asked),
        (b"x-forwarded-proto", scheme.encode()),
    ]
    return [
        (b"host", asked if host is None else host),
        *kept,
        *(field for field in told if field[0] not in set_here),
        (b"via", b", ".join([*ours.get(b"via", ()), VIA])),
    ]


def request_head(method: str, target: bytes, fields: Fields) -> bytes:
    """The bytes of a request's head. Raises `ValueError` for what would be two."""
    lines = [method.encode("ascii") + b" " + target + b" HTTP/1.1", *map(b": ".join, fields)]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(fields) or head.count(b"\r") != len(fields) or b"\0" in head:
        raise ValueError("a field holds a line break")
    if method.split() != [method] or target.split() != [target]:
        raise ValueError("the method or the target holds a blank")
    return head + b"\r\n\r\n"


def target(raw_path: bytes, query: bytes, *, base: bytes, rest: str | None) -> bytes:
    """What is asked of the upstream. `rest`: the part of the path below the route's prefix, where that is left out.

    The raw path goes on as it came: what was matched and authorised is what the upstream reads. No segment of it
    holds an encoded separator, so it has as many segments as its decoded form.
    """
    if rest is not None:
        count = rest.count("/") + 1 if rest else 0
        raw_path = b"/" + b"/".join(raw_path.split(b"/")[-count:]) if count else b"/"
    path = base + raw_path
    return path + b"?" + query if query else path

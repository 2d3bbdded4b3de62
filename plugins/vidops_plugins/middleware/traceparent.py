"""W3C Trace Context: each request is part of a trace, one that its client began or one of its own.

What comes after in the chain, an upstream included, is told this gateway's span as its parent. Nothing is exported:
the trace's id is in the access log, where whoever collects spans finds it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from vidops.api import ASGIApp, GatewayContext, Options, Receive, Scope, Send, note

PARENT, STATE = b"traceparent", b"tracestate"
LONGEST_STATE = 512
"""Characters of a tracestate that are passed on (W3C Trace Context, 3.3.1.5)."""
# Version ff is invalid; later ones may have more behind, which is not ours to read.
_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Traceparent(Options):
    """Makes each request a part of a trace (W3C Trace Context), for upstreams and in the access log."""

    trust: bool = True
    """Go on with a trace that the client began. Without it every request begins one, which strangers cannot join."""


def build(options: Traceparent, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    def wrap(app: ASGIApp) -> ASGIApp:
        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            given = [v for n, v in scope["headers"] if n == PARENT] if options.trust else []
            known = parse(given[0]) if len(given) == 1 else None
            trace, flags = known or (secrets.token_hex(16).encode(), b"00")
            note(scope, "vidops.trace_id", trace.decode())
            kept = [(n, v) for n, v in scope["headers"] if n not in (PARENT, STATE)]
            if known is not None:
                # A state without its parent says nothing; several fields are one list.
                state = b",".join(v for n, v in scope["headers"] if n == STATE)
                kept += [(STATE, state)] if 0 < len(state) <= LONGEST_STATE else []
            span = secrets.token_hex(8).encode()
            parent = b"-".join((b"00", trace, span, flags))
            await app({**scope, "headers": [*kept, (PARENT, parent)]}, receive, send)

        return traced

    return wrap


def parse(value: bytes) -> tuple[bytes, bytes] | None:
    """The trace's id and flags of a `traceparent`; None for what is none."""
    match = _PARENT.fullmatch(value)
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if not trace.strip(b"0") or not span.strip(b"0") or (version == b"00" and more is not None):
        return None
    # Of the flags, only the ones that are defined: sampled, random.
    return trace, b"%02x" % (int(flags, 16) & 0x03)

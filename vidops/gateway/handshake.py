"""What is wrong with a WebSocket's handshake (RFC 6455, 4.2.1). Pure.

Hypercorn answers such a one by itself, before any application is asked, and keeps the connection for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

VERSION = b"13"
OTHER_VERSION = 426
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


def fault(fields: Iterable[tuple[bytes, bytes]], *, keyed: bool) -> int | None:
    """The status to refuse it with; None where it is right. `keyed`: over HTTP/1.1, where there has to be a key."""
    told = [(name.lower(), value.strip()) for name, value in fields]
    if [value for name, value in told if name == b"sec-websocket-version"] != [VERSION]:
        return OTHER_VERSION
    keys = [value for name, value in told if name == b"sec-websocket-key"]
    if keyed and (len(keys) != 1 or not _KEY.fullmatch(keys[0])):
        return 400
    return None

"""JSON as two parsers could not read it differently: no key twice, no NaN, nothing but one value."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any


def strict_json(data: bytes) -> Any:
    """Raises `ValueError`."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError:
        raise ValueError("too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def unbase64url(part: bytes) -> bytes:
    """Base64url without padding (RFC 7515, section 2), written in the one way that it can be; raises `ValueError`."""
    try:
        data = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part:
        raise ValueError("not base64url as it is written")
    return data

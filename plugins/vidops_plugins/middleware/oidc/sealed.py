"""Cookies that only this side can read and make: encrypted (JWE, dir, A256GCM), with a purpose and an end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vidops.api import PermanentError

MIN_SECRET = 32
MAX_COOKIE = 3800
"""Bytes of a value; browsers drop cookies of more than 4096 with name and attributes."""
HEADER = {"alg": "dir", "enc": "A256GCM"}


class Seal:
    """`secret` may be any text of 32 bytes or more."""

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        from joserfc.jwk import OctKey

        if len(secret.encode()) < MIN_SECRET:
            raise PermanentError(
                f"oidc: session_secret has fewer than {MIN_SECRET} bytes: `openssl rand -hex 32`", reason="WeakKey"
            )
        self._key = OctKey.import_key(hashlib.sha256(b"vidops session\0" + secret.encode()).digest())
        self._now = now

    def close(self, purpose: str, content: Mapping[str, Any], seconds: float) -> str:
        from joserfc.jwe import encrypt_compact

        whole = {**content, "for": purpose, "until": self._now() + seconds}
        return encrypt_compact(HEADER, json.dumps(whole, separators=(",", ":")), self._key)

    def open(self, purpose: str, text: str) -> dict[str, Any] | None:
        """None for whatever was not made here, for this, or is over."""
        from joserfc.errors import JoseError
        from joserfc.jwe import decrypt_compact

        if not text.isascii() or len(text) > MAX_COOKIE:
            return None
        try:
            found = json.loads(decrypt_compact(text, self._key, algorithms=["dir", "A256GCM"]).plaintext or b"")
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return None
        fine = isinstance(found, dict) and found.get("for") == purpose and found.get("until", 0) > self._now()
        return found if fine else None


def set_cookie(name: str, value: str, seconds: float) -> tuple[bytes, bytes]:
    """For this host alone, not for scripts, not with other sites' requests. No seconds: take it away."""
    rest = f"Path=/; Max-Age={max(0, round(seconds))}; HttpOnly; Secure; SameSite=Lax"
    return b"set-cookie", f"{name}={value}; {rest}".encode("ascii")


def cookies(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name == b"cookie":
            for crumb in value.decode("latin-1").split(";")[:100]:
                key, _, text = crumb.strip().partition("=")
                yield key, text


def without_cookies(headers: Sequence[tuple[bytes, bytes]], prefix: bytes) -> list[tuple[bytes, bytes]]:
    """The headers less cookies whose names begin so: they are nobody else's business."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name == b"cookie" and prefix in value:
            value = b"; ".join(c for c in (c.strip() for c in value.split(b";")) if not c.startswith(prefix))
            if not value:
                continue
        kept.append((name, value))
    return kept

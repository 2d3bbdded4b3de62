"""Keys and tokens for tests, and an issuer on a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

ISSUER, AUDIENCE = "https://id.example", "vidops"
SECRET = "s" * 64


def key(kind: str, kid: str = "k1") -> Any:
    """A key pair, the same for the same names."""
    return _key(kind, kid)


@cache
def _key(kind: str, kid: str) -> Any:
    parameters: Any = {"kid": kid}
    match kind:
        case "RSA":
            return RSAKey.generate_key(2048, parameters)
        case "OKP":
            return OKPKey.generate_key("Ed25519", parameters)
        case "oct":
            return OctKey.import_key(SECRET)
        case curve:
            return ECKey.generate_key(curve, parameters)


def public(one: Any) -> dict[str, Any]:
    return dict(one.as_dict(private=False))


KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "OKP",
    **dict.fromkeys(("HS256", "HS384", "HS512"), "oct"),
}  # fmt: skip


def claims(**more: Any) -> dict[str, Any]:
    """Valid ones for an hour; a None takes one away."""
    now = int(time.time())
    all_of_them = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 3600, **more}
    return {name: value for name, value in all_of_them.items() if value is not None}


def sign(payload: Mapping[str, Any] | bytes, algorithm: str = "ES256", with_key: Any = None, **header: Any) -> str:
    """A token; what the header says can be anything."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return raw(json.dumps({"alg": algorithm, **header}).encode(), body, algorithm, with_key)


def raw(header: bytes, body: bytes, algorithm: str = "ES256", with_key: Any = None) -> str:
    """A token whose two parts are given as bytes, truly signed."""
    model = jws.JWSRegistry.algorithms[algorithm]
    text = b64(header) + b"." + b64(body)
    return (text + b"." + b64(model.sign(text, with_key or key(KINDS[algorithm])))).decode()


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Issuer:
    """Serves a JWK Set, counts who asks, and can be slow, wrong or away."""

    def __init__(self) -> None:
        self.keys: list[Any] = [key("P-256")]
        self.answer: bytes | None = None
        self.status = 200
        self.hold: asyncio.Event | None = None
        self.asked = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        body = self.answer if self.answer is not None else json.dumps({"keys": [public(k) for k in self.keys]}).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (self.status, len(body)))
        writer.write(body)
        writer.close()

"""`cafile` is where the stack file says, seen from the stack file, and an error at load where it cannot be used."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.authority import Authority
from tests.gateway.client import get
from tests.gateway.world import World, route
from tests.plugins.identity.tokens import AUDIENCE, ISSUER, claims, key, public, sign
from vidops.errors import PermanentError

KEY = "ann-key-0123456789"


class Secure:
    """A web service by TLS that says what an issuer, a provider and a directory of tenants would."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder, "own")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(*authority.issue(folder, CN="service"))
        self.url = ""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        document = {
            "keys": [public(key("P-256"))], "devices": ["door"], "members": ["ann"], "issuer": self.url,
            **{f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token")}, "jwks_uri": self.url,
        }  # fmt: skip
        body = json.dumps(document).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        writer.close()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Secure]:
    it = Secure(tmp_path)
    await it.open()
    yield it
    await it.close()


def asking(kind: str, url: str, folder: Path, cafile: str) -> Any:
    """A route that has to ask the service, in a stack file in the folder; and a request that is answered then."""
    (folder / "secret").write_text(KEY * 4)
    (folder / "key").write_text(KEY)
    secret = {"file": str(folder / "secret")}
    if kind == "jwt":
        options = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": url, "cafile": cafile}
        made = route("/", "echo", chain=[{"type": "jwt", "options": options}])
        return {**made, "base_dir": str(folder)}, f"Authorization: Bearer {sign(claims())}\r\n", 200
    if kind == "oidc":
        fixed = {"client_id": "x", "session_secret": secret, "url": "https://cameras.example"}
        made = route("/", "echo", chain=[{"type": "oidc", "options": {"issuer": url, "cafile": cafile, **fixed}}])
        return {**made, "base_dir": str(folder)}, "Accept: text/html\r\n", 303
    keyed = {"type": "api_key", "options": {"clients": {"ann": {"keys": [{"file": str(folder / "key")}]}}}}
    made = route("/", "echo", chain=[keyed, {"type": "tenant", "options": {"from": [{"header": "X-Tenant"}]}}])
    directory = {"type": "http", "base_dir": str(folder), "options": {"url": url, "cafile": cafile}}
    return {**made, "tenants": {"directory": directory}}, f"X-API-Key: {KEY}\r\nX-Tenant: acme\r\n", 200


KINDS = pytest.mark.parametrize("kind", ["jwt", "oidc", "tenants"])


@KINDS
async def test_it_is_relative_to_the_stack_file(world: World, service: Secure, tmp_path: Path, kind: str) -> None:
    made, headers, expected = asking(kind, service.url, tmp_path, "own-ca.pem")
    await world.start([made])
    assert (await get(world.port, "/", headers=headers)).status == expected


@KINDS
@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_one_that_cannot_be_used_is_told_at_load(
    world: World, tmp_path: Path, kind: str, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "bad.pem").write_text(content)
    made, _, _ = asking(kind, "https://127.0.0.1:9", tmp_path, "bad.pem")
    with pytest.raises(PermanentError, match=rf"routes\[0\].*{kind}.*cafile bad\.pem: .*: give a PEM file"):
        await world.start([made])

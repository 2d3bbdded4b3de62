"""An OpenID provider on a real socket: codes are good once, PKCE and the client's secret are checked."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tests.plugins.identity.tokens import key, public, sign

CLIENT, SECRET = "vidops-test", "client secret & more"


class OpenId:
    """`users` may log in; `twist` changes the claims of ID tokens; `broken` is the set of paths that answer 500."""

    def __init__(self) -> None:
        self.port = 0
        self.redirect_uri = ""
        self.users: dict[str, dict[str, Any]] = {"ann": {"roles": ["viewer"], "tid": "acme"}}
        self.twist: dict[str, Any] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.refresh_bytes = 16
        self.signing = key("RSA")
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh: dict[str, str] = {}
        self._server: asyncio.Server | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = first.split(" ")
            status, kind, text, location = self._answer(method, target, headers, dict(parse_qsl(body.decode())))
            more = f"Location: {location}\r\n" if location else ""
            data = text.encode()
            fixed = f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n"
            writer.write(f"HTTP/1.1 {status} X\r\n{fixed}{more}\r\n".encode() + data)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(
        self, method: str, target: str, headers: dict[str, str], form: dict[str, str]
    ) -> tuple[int, str, str, str]:
        parts = urlsplit(target)
        asked = dict(parse_qsl(parts.query))
        self.asked.append(parts.path)
        if parts.path in self.broken:
            return 500, "text/plain", "no", ""
        match parts.path:
            case "/.well-known/openid-configuration":
                return self._json(200, self._metadata())
            case "/jwks":
                return self._json(200, {"keys": [public(self.signing)]})
            case "/authorize":
                hidden = "".join(
                    f'<input type="hidden" name="{n}" value="{quote(v, safe=":/")}">' for n, v in asked.items()
                )
                page = f'<form method="get" action="/allow">{hidden}<input name="user"><button>Log in</button></form>'
                return 200, "text/html", page, ""
            case "/allow":
                return self._allow(asked)
            case "/token":
                return self._token(headers, form)
            case "/logout":
                return 303, "text/plain", "", asked.get("post_logout_redirect_uri", "")
        return 404, "text/plain", "", ""

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
        }

    def _allow(self, asked: dict[str, str]) -> tuple[int, str, str, str]:
        assert asked["client_id"] == CLIENT
        assert asked["redirect_uri"] == self.redirect_uri, asked
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        if asked["user"] not in self.users:
            answer = {"error": "access_denied", "state": asked["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = asked
            answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return 303, "text/plain", "", f"{self.redirect_uri}?{urlencode(answer)}"

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> tuple[int, str, str, str]:
        given = base64.b64decode(headers.get("authorization", "").removeprefix("Basic ")).decode()
        if not hmac.compare_digest(given.encode(), f"{CLIENT}:{SECRET}".encode()):
            return self._json(401, {"error": "invalid_client"})
        if form["grant_type"] == "refresh_token":
            user = self._refresh.pop(form["refresh_token"], "")
            return self._tokens(user, None) if user in self.users else self._json(400, {"error": "invalid_grant"})
        asked = self._codes.pop(form["code"], None)
        if asked is None or create_s256_code_challenge(form.get("code_verifier", "")) != asked["code_challenge"]:
            return self._json(400, {"error": "invalid_grant"})
        return self._tokens(asked["user"], asked["nonce"])

    def _tokens(self, user: str, nonce: str | None) -> tuple[int, str, str, str]:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": user, "iat": now, "exp": now + 300, **self.users[user]}
        claims |= {"nonce": nonce} if nonce else {}
        claims = {n: v for n, v in (claims | self.twist).items() if v is not None}
        refresh = secrets.token_urlsafe(self.refresh_bytes)
        self._refresh[refresh] = user
        token = sign(claims, "RS256", self.signing, kid="k1")
        return self._json(
            200, {"access_token": "at", "token_type": "Bearer", "id_token": token, "refresh_token": refresh}
        )

    @staticmethod
    def _json(status: int, document: Any) -> tuple[int, str, str, str]:
        return status, "application/json", json.dumps(document), ""

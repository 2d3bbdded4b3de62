"""The OpenID provider, as a client sees it: what it says of itself, its tokens, whether they are good."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from vidops.api import Fetched, TemporaryError, fetch
from vidops_plugins.middleware.jwt.guard import Verifier
from vidops_plugins.middleware.jwt.keys import remote_keys
from vidops_plugins.middleware.jwt.options import Jwt
from vidops_plugins.middleware.jwt.verify import InvalidTokenError
from vidops_plugins.middleware.oidc.options import LOOPBACK, Oidc

if TYPE_CHECKING:
    from authlib.oauth2.client import OAuth2Client

DISCOVERY_TTL = 3600.0
RETRY = 1.0
MAX_BYTES = 256 * 1024
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class LoginFailedError(Exception):
    """The provider said no, or what it said is not good; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Grantee:
    """Who logged in: claims of the ID token. `refresh_token` is empty where there is none."""

    claims: Mapping[str, Any]
    refresh_token: str = ""


@dataclass(slots=True)
class Provider:
    """One provider and this gateway's registration there. Raises `TemporaryError` where it does not answer."""

    options: Oidc
    secret: str
    log: Callable[[Mapping[str, Any]], None]
    _metadata: dict[str, Any] = field(default_factory=dict)
    _fetched: float = 0.0
    _failed: float = -RETRY
    _verifier: Verifier | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def authorization_url(self, *, state: str, nonce: str, code_verifier: str) -> str:
        metadata = await self.metadata()
        url, _ = self._client(metadata).create_authorization_url(
            metadata["authorization_endpoint"], state=state, code_verifier=code_verifier, nonce=nonce
        )
        return str(url)

    async def redeem(self, *, code: str, nonce: str, code_verifier: str) -> Grantee:
        """Tokens for a code. Raises `LoginFailedError`, too."""
        metadata = await self.metadata()
        token = await self._tokens(
            lambda: self._client(metadata).fetch_token(
                metadata["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=code_verifier
            )
        )
        claims = await self._claims(token, nonce)
        return Grantee(claims, _text(token.get("refresh_token")))

    async def refreshed(self, refresh_token: str, subject: str) -> Grantee:
        """Whether the user still is one, and what is said of them now. Raises `LoginFailedError` where not."""
        metadata = await self.metadata()
        token = await self._tokens(
            lambda: self._client(metadata).refresh_token(metadata["token_endpoint"], refresh_token=refresh_token)
        )
        claims = await self._claims(token, None) if token.get("id_token") else {}
        if claims and claims.get("sub") != subject:
            raise LoginFailedError("the provider names somebody else now")
        return Grantee(claims, _text(token.get("refresh_token")) or refresh_token)

    async def logout_url(self) -> str:
        """Where to log out at the provider (RP-initiated); empty where it has no such place, or does not answer."""
        try:
            endpoint = (await self.metadata()).get("end_session_endpoint")
        except TemporaryError:
            return ""
        if not isinstance(endpoint, str) or not self._is_safe(endpoint):
            return ""
        back = self.options.base + self.options.after_logout
        more = urlencode({"client_id": self.options.client_id, "post_logout_redirect_uri": back})
        return endpoint + ("&" if urlsplit(endpoint).query else "?") + more

    async def metadata(self) -> dict[str, Any]:
        """What the provider says of itself, at most an hour old while it answers, older while it does not."""
        async with self._lock:
            now = time.monotonic()
            if (self._metadata and now - self._fetched < DISCOVERY_TTL) or now - self._failed < RETRY:
                if not self._metadata:
                    raise TemporaryError("the login provider does not answer", reason="ProviderUnavailable")
                return self._metadata
            try:
                self._metadata, self._fetched = await self._discover(), now
            except (TemporaryError, ValueError) as error:
                self._failed = time.monotonic()
                self.log({"level": "warning", "event": "oidc_discovery_failed", "error": str(error)})
                if not self._metadata:
                    raise TemporaryError("the login provider does not answer", reason="ProviderUnavailable") from None
            return self._metadata

    async def _discover(self) -> dict[str, Any]:
        url = self.options.issuer.rstrip("/") + "/.well-known/openid-configuration"
        answer = await self._fetch(url)
        document = json.loads(answer.body) if answer.status == 200 else None
        if not isinstance(document, dict) or document.get("issuer") != self.options.issuer:
            raise ValueError(f"{url}: not the metadata of {self.options.issuer}")
        if missing := [name for name in ENDPOINTS if not self._is_safe(document.get(name))]:
            raise ValueError(f"{url}: without a good {missing[0]}")
        return document

    def _is_safe(self, url: Any) -> bool:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or not parts.hostname:
            return False
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)

    def _client(self, metadata: Mapping[str, Any]) -> OAuth2Client:
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return _client_class()(
            self._post,
            client_id=self.options.client_id,
            client_secret=self.secret or None,
            token_endpoint_auth_method=method if self.secret else "none",
            scope=" ".join(self.options.scopes),
            redirect_uri=self.options.redirect_uri,
            code_challenge_method="S256",
        )

    async def _tokens(self, ask: Callable[[], Any]) -> dict[str, Any]:
        from authlib.oauth2 import OAuth2Error

        try:
            return dict(await ask())
        except OAuth2Error as error:
            self.log({"level": "warning", "event": "oidc_refused", "error": str(error.error)[:200]})
            raise LoginFailedError("the provider refuses the login") from None
        except ValueError as error:
            raise TemporaryError(f"the login provider: {error}", reason="ProviderUnavailable") from None

    async def _claims(self, token: Mapping[str, Any], nonce: str | None) -> Mapping[str, Any]:
        """Those of a good ID token: signature and times as `jwt` has them, and what OpenID Connect adds (core,
        3.1.3.7)."""
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        text = token.get("id_token")
        try:
            known = await self._jwt().verify(text.encode() if isinstance(text, str) else b"")
            wanted = {"client_id": self.options.client_id, "access_token": token.get("access_token")}
            header = _header(str(text))
            CodeIDToken(known.user.claims, header, {}, wanted | ({"nonce": nonce} if nonce else {})).validate(leeway=60)
        except (InvalidTokenError, JoseError) as error:
            self.log({"level": "warning", "event": "oidc_bad_token", "error": str(error)[:200]})
            raise LoginFailedError("the provider's ID token is not good") from None
        return known.user.claims

    def _jwt(self) -> Verifier:
        if self._verifier is None:
            said = {
                "issuer": self.options.issuer, "audience": self.options.client_id, "types": ["JWT"],
                "jwks_url": self._metadata["jwks_uri"], "cafile": self.options.cafile,
            }  # fmt: skip
            options = Jwt.model_validate(said)
            self._verifier = Verifier(options, remote_keys(options, self.log))
        return self._verifier

    async def _post(self, url: str, headers: Mapping[str, str], body: str) -> Fetched:
        return await self._fetch(url, method="POST", headers=headers, body=body.encode())

    async def _fetch(self, url: str, **more: Any) -> Fetched:
        given = {"headers": {"Accept": "application/json"}, **more}
        return await fetch(url, timeout=self.options.timeout, max_bytes=MAX_BYTES, cafile=self.options.cafile, **given)


def _client_class() -> type[OAuth2Client]:
    """authlib's client, whose exchanges go through `fetch`; `session` is the function that posts."""
    from authlib.oauth2.client import OAuth2Client

    class Client(OAuth2Client):  # type: ignore[misc]
        async def _fetch_token(
            self, url: str, body: str = "", headers: Any = None, auth: Any = None, method: str = "POST", **_: Any
        ) -> Any:
            url, headers, body = auth.prepare(method, url, dict(headers or {}), body)
            return self.parse_response_token(_Response(await self.session(url, headers, body)))

        async def _refresh_token(
            self, url: str, refresh_token: Any = None, body: str = "", headers: Any = None, auth: Any = None, **_: Any
        ) -> Any:
            return await self._fetch_token(url, body, headers, auth)

    return Client


class _Response:
    """What authlib looks at."""

    def __init__(self, answer: Fetched) -> None:
        self.status_code = answer.status
        self._body = answer.body

    def json(self) -> Any:
        return json.loads(self._body)

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise TemporaryError(f"the login provider: HTTP {self.status_code}", reason="ProviderUnavailable")


def _header(token: str) -> dict[str, Any]:
    from vidops_plugins.middleware.jwt.strict import strict_json, unbase64url

    found: dict[str, Any] = strict_json(unbase64url(token.partition(".")[0].encode()))
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

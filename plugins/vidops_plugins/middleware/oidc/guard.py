"""The middleware: whose session is it, and if nobody's, where to log in.

A session is its cookie, so it outlives reloads and restarts, and goes from gateway to gateway. What a process remembers
of sessions besides is in `sessions`.
"""

from __future__ import annotations

import hmac
import html
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    TemporaryError,
    User,
    header,
    query,
    respond,
    respond_problem,
)
from vidops_plugins.authorities import authorities
from vidops_plugins.middleware.alternatives import is_known, note
from vidops_plugins.middleware.jwt.verify import claim, is_name, words
from vidops_plugins.middleware.oidc.options import Oidc
from vidops_plugins.middleware.oidc.provider import Grantee, LoginFailedError, Provider
from vidops_plugins.middleware.oidc.sealed import MAX_COOKIE, Seal, cookies, set_cookie, without_cookies
from vidops_plugins.middleware.oidc.sessions import Sessions, sessions_of

PREFIX = "__Host-vidops-"
SESSION = f"{PREFIX}session"
LOGIN = f"{PREFIX}login-"
LOGIN_TIME = 600.0
"""Seconds that a login may take."""
MAX_LOGINS = 5
"""Logins that one browser has under way, in as many tabs."""
MAX_RETURN = 1000
_NO_STORE = (b"cache-control", b"no-store")
_SITES = (b"same-origin", b"none")


class Login:
    """Sessions of one `oidc` link."""

    def __init__(self, options: Oidc, provider: Provider, seal: Seal, sessions: Sessions) -> None:
        self._options = options
        self._provider = provider
        self._seal = seal
        self._sessions = sessions

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and str(scope["path"]).startswith(f"{self._options.path}/"):
            action = str(scope["path"])[len(self._options.path) + 1 :]
            if action in ("login", "callback", "logout"):
                await self._act(action, scope, send)
                return
        if is_known(scope):
            await app(scope, receive, send)
            return
        session, fresh = await self._session(scope)
        if session is None:
            await (app(scope, receive, send) if self._options.optional else self._ask(scope, send))
            return
        user = User(session["name"], frozenset(session["roles"]), session["claims"], "oidc")
        note(scope, user, self._options)
        headers = without_cookies(scope["headers"], PREFIX.encode())
        sending = self._with_cookie(send, session) if fresh else send
        await app({**scope, "headers": headers}, receive, sending)

    # -- sessions ------------------------------------------------------------

    async def _session(self, scope: Scope) -> tuple[dict[str, Any] | None, bool]:
        """Who is logged in, and whether that is news for the cookie."""
        found = [value for name, value in cookies(scope["headers"]) if name == SESSION]
        session = self._seal.open("session", found[0]) if len(found) == 1 else None
        if session is None or self._sessions.has_ended(session):
            return None, False
        if not session["refresh"] or time.time() < session["check"]:
            return session, False
        renewed = await self._renewed(session)
        return renewed, renewed is not None and renewed is not session

    async def _renewed(self, session: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return await self._sessions.renewed(session, lambda: self._refresh(session))
        except TemporaryError:
            # Whoever was in stays in while the provider cannot be asked, until the session's own end.
            return session

    async def _refresh(self, session: dict[str, Any]) -> dict[str, Any] | None:
        """The session as it goes on; None where it does not."""
        left = session["until"] - time.time()
        check = time.time() + self._options.refresh
        try:
            grantee = await self._provider.refreshed(session["refresh"], session["sub"])
            now = self._made(grantee, session["id"]) if grantee.claims else {"refresh": grantee.refresh_token}
            renewed = {**session, **now, "check": check, "until": time.time() + left}
            self._cookie(renewed, left)  # which may say that it does not fit any more
        except LoginFailedError as error:
            self._provider.log({"level": "info", "event": "oidc_ended", "error": str(error)})
            self._sessions.end(session)
            return None
        return renewed

    def _made(self, grantee: Grantee, number: str) -> dict[str, Any]:
        """Raises `LoginFailedError` for somebody without a name."""
        options, claims = self._options, grantee.claims
        name = claim(claims, options.name)
        if not is_name(name):
            raise LoginFailedError(f"the provider gives no {options.name}")
        kept = {key: claims[key] for key in ("sub", *options.claims) if key in claims}
        return {
            "id": number, "sub": str(claims["sub"])[:200], "name": name,
            "roles": sorted(words(claim(claims, options.roles))), "claims": kept,
            "refresh": grantee.refresh_token, "check": time.time() + options.refresh,
        }  # fmt: skip

    def _cookie(self, session: Mapping[str, Any], seconds: float) -> tuple[bytes, bytes]:
        """Raises `LoginFailedError` for one that no browser would keep."""
        value = self._seal.close("session", session, seconds)
        if len(value) > MAX_COOKIE and session["refresh"]:
            self._told_of_no_refresh(len(value))
            value = self._seal.close("session", {**session, "refresh": ""}, seconds)
        if len(value) > MAX_COOKIE:
            raise LoginFailedError("the provider says more of you than a cookie holds: keep fewer claims or roles")
        return set_cookie(SESSION, value, seconds)

    def _told_of_no_refresh(self, size: int) -> None:
        if self._sessions.first("no refresh"):
            error = (
                f"a session with its refresh token takes {size} bytes of the {MAX_COOKIE} that a cookie holds, so that "
                "the provider is not asked whether its user still is one until `lifetime` is over: keep fewer `claims` "
                "or roles, have the provider give shorter refresh tokens, or shorten `lifetime`"
            )
            self._provider.log({"level": "warning", "event": "oidc_no_refresh", "error": error})

    def _with_cookie(self, send: Send, session: Mapping[str, Any]) -> Send:
        cookie = self._cookie(session, session["until"] - time.time())

        async def answer(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                message = {**message, "headers": [*message.get("headers", ()), cookie]}
            await send(message)

        return answer

    # -- logins ------------------------------------------------------------

    async def _ask(self, scope: Scope, send: Send) -> None:
        """A page leads to the login; for anything else that would be no answer."""
        if is_navigation(scope):
            await self._begin(scope, send, own_address(scope))
            return
        head = [(b"www-authenticate", b'Login realm="vidops"'), (b"vary", b"cookie")]
        login = f"{self._options.path}/login"
        await respond_problem(scope, send, 401, "log in first", reason="LoginNeeded", login=login, headers=head)

    async def _act(self, action: str, scope: Scope, send: Send) -> None:
        if scope["method"] not in (("GET", "POST") if action == "logout" else ("GET",)):
            await respond_problem(scope, send, 405, "this path answers GET", headers=[(b"allow", b"GET")])
        elif action == "login":
            await self._begin(scope, send, query(scope).get("return", "/"))
        elif action == "logout":
            await self._logout(scope, send)
        else:
            await self._callback(scope, send)

    async def _begin(self, scope: Scope, send: Send, back: str) -> None:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = await self._provider.authorization_url(state=state, nonce=nonce, code_verifier=verifier)
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "return": safe_return(back)}
        cookie = set_cookie(LOGIN + state[:8], self._seal.close("login", kept, LOGIN_TIME), LOGIN_TIME)
        under_way = [name for name, _ in cookies(scope["headers"]) if name.startswith(LOGIN)]
        dropped = [set_cookie(name, "", 0) for name in under_way[: max(0, len(under_way) + 1 - MAX_LOGINS)]]
        await _redirect(scope, send, url, [cookie, *dropped])

    async def _callback(self, scope: Scope, send: Send) -> None:
        said = query(scope)
        name = LOGIN + said.get("state", "")[:8]
        found = [self._seal.open("login", value) for key, value in cookies(scope["headers"]) if key == name]
        kept = found[0] if len(found) == 1 else None
        if kept is None or not hmac.compare_digest(kept["state"].encode(), said.get("state", "").encode()):
            await self._sorry(scope, send, "this login has expired, or was begun in another browser", [])
            return
        done = set_cookie(name, "", 0)
        try:
            session = await self._logged_in(said, kept)
            cookie = self._cookie(session, self._options.lifetime)
        except LoginFailedError as error:
            await self._sorry(scope, send, str(error), [done])
            return
        await _redirect(scope, send, kept["return"], [cookie, done])

    async def _logged_in(self, said: Mapping[str, str], kept: Mapping[str, Any]) -> dict[str, Any]:
        if "error" in said or "code" not in said:
            raise LoginFailedError("the provider did not let you in")
        if said.get("iss", self._options.issuer) != self._options.issuer:
            # RFC 9207: an answer by another provider.
            raise LoginFailedError("the answer is another provider's")
        grantee = await self._provider.redeem(
            code=said["code"][:2000], nonce=kept["nonce"], code_verifier=kept["verifier"]
        )
        return self._made(grantee, secrets.token_urlsafe(12))

    async def _logout(self, scope: Scope, send: Send) -> None:
        if header(scope, b"sec-fetch-site") not in (None, *_SITES):
            await respond_problem(scope, send, 403, "another site's page may not log you out", reason="CrossSite")
            return
        session, _ = await self._session(scope)
        if session is not None:
            self._sessions.end(session)
        target = await self._provider.logout_url() or self._options.after_logout
        await _redirect(scope, send, target, [set_cookie(SESSION, "", 0)])

    async def _sorry(self, scope: Scope, send: Send, why: str, headers: Headers) -> None:
        again = html.escape(f"{self._options.path}/login", quote=True)
        page = (
            '<!doctype html><meta charset="utf-8"><title>Not logged in</title>'
            f'<h1>Not logged in</h1><p>{html.escape(why)}.</p><p><a href="{again}">Try again</a></p>'
        )
        policy = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
        fixed = [_NO_STORE, policy, *headers]
        await respond(scope, send, 403, page.encode(), content_type="text/html; charset=utf-8", headers=fixed)


async def _redirect(scope: Scope, send: Send, url: str, headers: Headers) -> None:
    location = (b"location", url.encode("ascii", "ignore"))
    await respond(scope, send, 303, headers=[location, _NO_STORE, (b"referrer-policy", b"no-referrer"), *headers])


def is_navigation(scope: Scope) -> bool:
    """Whether a browser asks for a page, by a person's doing."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    mode = header(scope, b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    return b"text/html" in (header(scope, b"accept") or b"")


def own_address(scope: Scope) -> str:
    asked = bytes(scope["raw_path"]).decode("latin-1")
    more = bytes(scope["query_string"]).decode("latin-1")
    return f"{asked}?{more}" if more else asked


def safe_return(address: str) -> str:
    """A path of this very host, or `/`: not what a browser takes for another host."""
    fine = (
        len(address) <= MAX_RETURN
        and address.startswith("/")
        and not address.startswith("//")
        and all("!" <= c <= "~" and c != "\\" for c in address)
    )
    return address if fine else "/"


def build(options: Oidc, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    cafile = authorities(options.cafile, context.base_dir, "oidc")
    options = options.model_copy(update={"cafile": cafile})
    secret = context.secret(options.client_secret) if options.client_secret is not None else ""
    session_secret = context.secret(options.session_secret)
    sessions = sessions_of(options.issuer, options.client_id, session_secret)
    login = Login(options, Provider(options, secret, context.log), Seal(session_secret), sessions)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            await login.serve(app, scope, receive, send)

        return guarded

    return wrap

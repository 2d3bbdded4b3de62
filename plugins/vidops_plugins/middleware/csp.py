"""What a page may load and run (Content Security Policy, level 3), with a nonce for each answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from mimetypes import guess_type
from typing import Annotated

from pydantic import Field, field_validator

from vidops.api import ASGIApp, GatewayContext, Message, Options, Receive, Scope, Send, header

NONCE = "vidops.csp_nonce"
"""Key of the scope under which handlers find the nonce of this answer."""
PAGE_LIMIT = 1024 * 1024
"""Bytes of a page in which the placeholder is replaced; a larger one is sent as it is."""
_NAME = re.compile(r"[a-z-]{3,40}")
_CONDITIONS = (b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"range")
_OTHER_PAGE = frozenset((b"accept-encoding", *_CONDITIONS))
"""What a request says of the page that it has, or how it wants one: coded, in part or kept, it has no nonce of ours."""
_NO_PAGE = re.compile(r"(audio|font|image|video)/.*|text/(css|javascript)|application/(javascript|json|wasm)")
_PAGES = (b"document", b"embed", b"empty", b"fencedframe", b"frame", b"iframe", b"object")
"""Values of Sec-Fetch-Dest with which a browser may be asking for a page."""


POLICY = {
    "default-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
}


class Csp(Options):
    """Restricts what pages may load and run. A policy that an answer has of its own stays."""

    policy: Annotated[dict[str, str], Field(max_length=40)] = Field(default_factory=lambda: dict(POLICY))
    """Directives; {nonce} in one is this answer's own: "'nonce-{nonce}'"."""
    placeholder: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{8,60}$")] | None = None
    """A word that stands in pages where the nonce belongs: <script nonce="CSP_NONCE_HERE">."""
    report_to: Annotated[str, Field(pattern=r"^/[!-:<-~]{0,200}$")] | None = None
    """Where browsers tell of what they refused: the path of a route with the handler `csp_report`."""
    report_only: bool = False
    """Let everything through, and tell of what would have been refused."""

    @field_validator("policy")
    @classmethod
    def _directives(cls, value: dict[str, str]) -> dict[str, str]:
        for name, sources in value.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no directive")
            if re.search(r"[^\x20-\x7e]|[;,]", sources):
                raise ValueError(f"{name}: one line of ASCII, without ; and ,")
            if re.search(r"[{}]", sources.replace("{nonce}", "")):
                raise ValueError(f"{name}: {{nonce}} is the only field")
        return value


def build(options: Csp, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    directives = [f"{name} {sources}".strip() for name, sources in options.policy.items()]
    if options.report_to:
        directives.append(f"report-uri {options.report_to}")
    policy = "; ".join(directives)
    name = b"content-security-policy-report-only" if options.report_only else b"content-security-policy"

    def wrap(app: ASGIApp) -> ASGIApp:
        async def restricted(scope: Scope, receive: Receive, send: Send) -> None:
            nonce = secrets.token_urlsafe(18)
            field = (name, policy.replace("{nonce}", nonce).encode())
            # An answer to HEAD has no page to put it in.
            word = options.placeholder if scope.get("method") != "HEAD" else None
            inner = {**scope, NONCE: nonce}
            if options.placeholder and may_be_for_a_page(scope):
                inner["headers"] = [f for f in scope["headers"] if f[0] not in _OTHER_PAGE]
            await app(inner, receive, Page(send, field, word, nonce))

        return restricted

    return wrap


def may_be_for_a_page(scope: Scope) -> bool:
    """Not what a browser wants for a page, such as scripts and pictures: those stay coded and kept."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    wanted = header(scope, b"sec-fetch-dest")
    if wanted is not None:
        return wanted.lower() in _PAGES
    # Over plain HTTP browsers do not say it, and want ranges of films all the same.
    return not _NO_PAGE.fullmatch(guess_type(scope["path"])[0] or "")


class Page:
    """`send` of one answer: adds the policy, and puts the nonce in where a page has its placeholder."""

    def __init__(self, send: Send, field: tuple[bytes, bytes], placeholder: str | None, nonce: str) -> None:
        self._send = send
        self._field = field
        self._word = placeholder.encode() if placeholder else b""
        self._nonce = nonce.encode()
        self._nonced = self._nonce in field[1]
        self._held: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """ASGI's `send`."""
        if message["type"].endswith("response.start"):
            headers = list(message.get("headers", ()))
            # A handler's own policy knows its own page. A 304 is of an old page, whose nonce is in its old policy.
            if any(n.lower() == self._field[0] for n, _ in headers) or (message["status"] == 304 and self._nonced):
                await self._send(message)
                return
            message = {**message, "headers": [*headers, self._field]}
            if self._word and is_page(message):
                self._held = message
                return
        elif self._held is not None and message["type"] == "http.response.body":
            await self._page(self._held, message)
            return
        await self._send(message)

    async def _page(self, start: Message, message: Message) -> None:
        self._body += message.get("body", b"")
        more = message.get("more_body", False)
        if more and len(self._body) <= PAGE_LIMIT:
            return
        self._held = None
        if not more and len(self._body) <= PAGE_LIMIT:
            body = self._body.replace(self._word, self._nonce)
            # Another nonce each time: nobody may keep the page, or take an old one for it.
            gone = (b"content-length", b"etag", b"last-modified", b"accept-ranges", b"cache-control")
            headers = [(n, v) for n, v in start["headers"] if n.lower() not in gone]
            fixed = [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
            await self._send({**start, "headers": [*headers, *fixed]})
            await self._send({"type": "http.response.body", "body": body})
            return
        await self._send(start)
        await self._send({**message, "body": self._body})


def is_page(message: Message) -> bool:
    """Whether it is a whole HTML page that can be changed."""
    found = {n.lower(): v for n, v in message["headers"]}
    return message["status"] == 200 and found.get(b"content-type", b"").lower().startswith(b"text/html") and not (
        found.keys() & {b"content-encoding", b"content-range"}
    )  # fmt: skip

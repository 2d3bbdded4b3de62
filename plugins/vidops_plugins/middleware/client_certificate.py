"""`client_certificate`: who asks is who the TLS certificate says, which the handshake has verified.

The gateway's `tls.client_ca` says whose certificates are good. One that several names of the wanted kind are in names
nobody: servers in a row could each take another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import Field

from vidops.api import ASGIApp, GatewayContext, Receive, Scope, Send, User, client_certificate_of, respond_problem
from vidops_plugins.middleware.alternatives import Way, is_known, note

MAX_NAME = 200
Kind = Literal["common_name", "email", "dns", "uri", "subject"]
Word = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_ALTERNATIVE = {"email": "email", "dns": "DNS", "uri": "URI"}


class ClientCertificate(Way):
    """Lets through who has shown a certificate in the TLS handshake. The gateway's `tls` has `client_ca`."""

    name: Kind = "common_name"
    """What of the certificate is the user's name: the subject's common name, an alternative name of that kind, or the
    whole subject as RFC 4514 writes it (`CN=door,O=Example`)."""
    roles: dict[Word, list[Word]] = Field(default_factory=dict)
    """Roles for `authorize`, by globs over users' names. A user has those of every glob that fits."""


def build(options: ClientCertificate, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            shown = client_certificate_of(scope)
            if is_known(scope) or (shown is None and options.optional):
                await app(scope, receive, send)
                return
            user = user_in(shown, options) if shown is not None else None
            if user is None:
                detail = "a client certificate is needed" if shown is None else "the certificate names nobody"
                await respond_problem(scope, send, 403, detail)
                return
            note(scope, user, options)
            await app(scope, receive, send)

        return guarded

    return wrap


def user_in(shown: Mapping[str, Any], options: ClientCertificate) -> User | None:
    """Whom a certificate (as `client_certificate_of` gives it) names; None where it names none, or several."""
    names = names_in(shown, options.name)
    if len(names) != 1 or not 0 < len(names[0]) <= MAX_NAME or any(ord(c) < 0x20 or c == "\x7f" for c in names[0]):
        return None
    roles = {role for glob, given in options.roles.items() if fnmatchcase(names[0], glob) for role in given}
    claims = {"subject": shown["subject_name"], "serial": shown.get("serialNumber", "")}
    return User(names[0], frozenset(roles), claims, "client_certificate")


def names_in(shown: Mapping[str, Any], kind: Kind) -> list[str]:
    if kind == "subject":
        return [shown["subject_name"]] if shown["subject_name"] else []
    if kind == "common_name":
        return [value for rdn in shown["subject"] for name, value in rdn if name == "commonName"]
    return [value for name, value in shown.get("subjectAltName", ()) if name == _ALTERNATIVE[kind]]

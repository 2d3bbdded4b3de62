"""Names and values of header fields, as stack files write them; values may say who asks. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from vidops.api import Scope, client_certificate_of, header, tenant_of, user_of

_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]{1,100}")
_FRAMING = ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")


def field_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header field")
    if name.lower() in _FRAMING:
        raise ValueError(f"{name} follows from the message itself")
    return name.lower()


FieldName = Annotated[str, AfterValidator(field_name)]


def _certificate(scope: Scope) -> str:
    shown = client_certificate_of(scope)
    return str(shown["subject_name"]) if shown else ""


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _escaped(text: str, more: str = "") -> str:
    """In percent what cannot stand in a field, what that is written with, and `more`: two texts never look alike.

    A field's ends are no part of it: spaces there are written in percent, too.
    """
    return re.sub(rf"[^\x20-\x7e]|[%{more}]|^ +| +$", _percent, text)


def _visible(text: str) -> str:
    """Of a URL, which has its percents already."""
    return re.sub(r"[^\x20-\x7e]", _percent, text)


def _roles(scope: Scope) -> str:
    user = user_of(scope)
    return ",".join(_escaped(role, ",") for role in sorted(user.roles)) if user else ""


VALUES: dict[str, Callable[[Scope], str]] = {
    "certificate": lambda scope: _escaped(_certificate(scope)),
    "client": lambda scope: _escaped((scope.get("client") or ("",))[0]),
    "host": lambda scope: _visible((header(scope, b"host") or b"").decode("latin-1")),
    "path": lambda scope: _visible(scope["raw_path"].decode("latin-1")),
    "request_id": lambda scope: _escaped(scope.get("vidops.request_id", "")),
    "roles": _roles,
    "scheme": lambda scope: _escaped(str(scope["scheme"])),
    "tenant": lambda scope: _escaped(tenant.name) if (tenant := tenant_of(scope)) else "",
    "user": lambda scope: _escaped(user.name) if (user := user_of(scope)) else "",
}
"""What stands in braces in a value."""


def field_value(text: str) -> str:
    unknown = [name for name in re.findall(r"\{([^{}]*)\}", text) if name not in VALUES]
    if unknown:
        raise ValueError(f"unknown field {{{unknown[0]}}}: there are {', '.join('{' + v + '}' for v in VALUES)}")
    if re.search(r"[^\t\x20-\x7e]", text) or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", text)):
        raise ValueError("must be one line of ASCII, with braces around fields alone")
    return text


FieldValue = Annotated[str, Field(max_length=2000), AfterValidator(field_value)]


def filled(text: str, scope: Scope) -> bytes:
    """A value with what this request puts into it."""
    return re.sub(r"\{([^{}]*)\}", lambda match: VALUES[match[1]](scope), text).encode("latin-1")

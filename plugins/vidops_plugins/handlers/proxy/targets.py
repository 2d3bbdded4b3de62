"""Upstreams as the stack file writes them: http://host:port, https://host:port/base, unix:/path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<base>(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*)/?"
)
_UNIX = re.compile(r"unix:(?P<path>/[^\x00-\x20?#]{1,106})")


@dataclass(frozen=True, slots=True)
class Target:
    """`path`: a unix socket's, or empty. `base`: what requests' paths are put behind, without a final slash."""

    url: str
    host: str = ""
    port: int = 0
    tls: bool = False
    path: str = ""
    base: str = ""

    @property
    def authority(self) -> str:
        """What `Host` says of it."""
        if self.path:
            return "localhost"
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


def checked_name(name: str) -> str:
    """Raises `ValueError` where it could never be looked up, and each request would fail at that."""
    try:
        name.encode("idna")
    except UnicodeError:
        raise ValueError("no host has that name: between its dots are 1 to 63 characters") from None
    return name


def parse_target(url: str) -> Target:
    """Raises `ValueError`, which says what would be right."""
    if found := _UNIX.fullmatch(url):
        return Target(url, path=found["path"])
    found = _URL.fullmatch(url)
    if found is None or ".." in found["base"].split("/") or "." in found["base"].split("/"):
        raise ValueError("not an upstream: write http://HOST:PORT, https://HOST:PORT/BASE or unix:/PATH")
    tls = found["scheme"] == "https"
    port = int(found["port"]) if found["port"] else 443 if tls else 80
    if not 0 < port < 65536:
        raise ValueError("a port is between 1 and 65535")
    host = found["host"].strip("[]")
    return Target(url, checked_name(host), port, tls, base=found["base"])


def _check(url: str) -> str:
    parse_target(url)
    return url


UpstreamUrl = Annotated[str, Field(max_length=500), AfterValidator(_check)]

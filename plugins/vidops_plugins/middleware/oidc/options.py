"""What a stack file says of a login."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from vidops.api import PositiveDuration, SecretRef, Url
from vidops_plugins.middleware.alternatives import Way

Text = Annotated[str, Field(min_length=1, max_length=500)]
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Oidc(Way):
    """Has browsers log in at an OpenID provider; others are answered 401."""

    issuer: Url
    """The provider: its `/.well-known/openid-configuration` says the rest."""
    client_id: Text
    """What the provider calls this gateway."""
    client_secret: SecretRef | None = None
    """What the provider knows it by; without one, it is a public client."""
    session_secret: SecretRef
    """What session cookies are encrypted with: at least 32 bytes (`openssl rand -hex 32`), the same for all gateways
    and hosts that share a login. A new one ends all sessions."""
    url: Url
    """Where browsers see this gateway: `https://cameras.example`. The provider has to know `<url><path>/callback`."""
    path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=100)] = "/auth"
    """Below it are `/login`, `/callback` and `/logout`. A route with this chain has to lead there."""
    scopes: tuple[Text, ...] = ("openid", "profile", "email")
    """What is asked for; `offline_access` brings a refresh token where a provider gives none without."""
    name: Text = "sub"
    """The claim that is the user's name: `preferred_username` or `email` are nicer, where nobody can change theirs."""
    roles: Text = "roles"
    """The claim with the user's roles, a list or words; with dots, inside of another: `realm_access.roles`."""
    claims: tuple[Text, ...] = ()
    """More claims that the session keeps, for `tenant`."""
    lifetime: PositiveDuration = "8h"  # type: ignore[assignment]
    """How long a login lasts at most."""
    refresh: PositiveDuration = "10m"  # type: ignore[assignment]
    """How often the provider is asked whether the user still is one, where it gave a refresh token."""
    after_logout: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=200)] = "/"
    """Where a browser ends up after a logout."""
    timeout: PositiveDuration = "5s"  # type: ignore[assignment]
    """How long the provider may take to answer."""
    cafile: str = ""
    """PEM file of the authorities that its certificate may be by, in place of the system's. Relative to the stack
    file."""

    @model_validator(mode="after")
    def _fits(self) -> Oidc:
        for name, value in (("url", self.url), ("issuer", self.issuer)):
            parts = urlsplit(value)
            if parts.scheme != "https" and parts.hostname not in LOOPBACK:
                raise ValueError(f"{name} is https, or http at localhost")
            if parts.query:
                raise ValueError(f"{name} has no query")
        if urlsplit(self.url).path not in ("", "/"):
            raise ValueError("url has no path: cookies are for a whole host")
        if "openid" not in self.scopes:
            raise ValueError("scopes has openid")
        return self

    @property
    def base(self) -> str:
        return self.url.rstrip("/")

    @property
    def redirect_uri(self) -> str:
        return f"{self.base}{self.path}/callback"

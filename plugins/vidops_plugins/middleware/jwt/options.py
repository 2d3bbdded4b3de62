"""What a stack file says of tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vidops.api import Duration, Options, PositiveDuration, SecretRef, Url
from vidops_plugins.middleware.alternatives import Way

Asymmetric = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"
]
Symmetric = Literal["HS256", "HS384", "HS512"]
ASYMMETRIC = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "Ed448",
)
Text = Annotated[str, Field(min_length=1, max_length=500)]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
SECRET_WORDS = ("token", "jwt", "auth")


class TokenPlace(Options):
    """Where a token may be: exactly one of these."""

    header: Token | None = None
    """A header field: `Authorization` (with `Bearer`), or another with nothing but the token."""
    cookie: Token | None = None
    """A cookie. Browsers send it with requests of other sites' pages, too: add `csrf` and `websocket_origin`."""
    subprotocol: Token | None = None
    """A prefix of a WebSocket subprotocol, for browsers' scripts, which can set no header: `bearer.` takes the token
    from `new WebSocket(url, ["vidops", "bearer." + token])`."""
    query: Token | None = None
    """A field of the query. Addresses get into histories and logs; the name has `token`, `jwt` or `auth` in it, so
    that the access log leaves its value out."""

    @model_validator(mode="after")
    def _one(self) -> TokenPlace:
        if sum(place is not None for place in (self.header, self.cookie, self.subprotocol, self.query)) != 1:
            raise ValueError("a place is exactly one of header, cookie, subprotocol, query")
        if self.query is not None and not any(word in self.query.lower() for word in SECRET_WORDS):
            raise ValueError("the name of a query field with a token has `token`, `jwt` or `auth` in it")
        return self


class Jwt(Way):
    """Lets through whoever has a valid JSON Web Token (401, 403)."""

    issuer: Text
    """Who makes the tokens: `iss` has to be exactly this."""
    audience: Annotated[str, Field(min_length=1)] | Annotated[tuple[Text, ...], Field(min_length=1)]
    """Whom they are for: `aud` has to name one of these."""
    jwks_url: Url | None = None
    """Where the issuer's public keys are (RFC 7517)."""
    keys: SecretRef | None = None
    """Or a file of them: a PEM public key or certificate, a JWK, or a JWK Set."""
    secret: SecretRef | None = None
    """Or the secret that both sides have (HS256, HS384, HS512), of at least 32, 48, 64 bytes."""
    algorithms: tuple[Asymmetric | Symmetric, ...] = ()
    """Those accepted. None given: HS256 with `secret`, else all of RS, PS, ES and EdDSA that fit the key."""
    leeway: Duration = "60s"  # type: ignore[assignment]
    """How far clocks may differ, at most 5 minutes."""
    max_age: PositiveDuration | None = None
    """How long ago a token may have been made, whatever its `exp`; it needs an `iat` then."""
    require: tuple[Text, ...] = ()
    """Claims that have to be there, besides iss, aud and exp."""
    scopes: tuple[Text, ...] = ()
    """Scopes that are needed (403 without): of `scope` (words) or `scp` (words or a list)."""
    name: Text = "sub"
    """The claim that is the user's name. With dots, a claim inside of another: `user.name`."""
    roles: Text = "roles"
    """The claim with the user's roles, a list or words; with dots, inside of another: `realm_access.roles`."""
    types: tuple[Text, ...] = ("JWT", "at+jwt")
    """Values of `typ` in the token's header that are accepted; a token without one is, too."""
    from_: Annotated[tuple[TokenPlace, ...], Field(min_length=1, alias="from")] = (TokenPlace(header="Authorization"),)
    """Where tokens may be, in this order. A request with several is refused."""
    forward: bool = False
    """Pass the token on to the handler, and so to an upstream."""
    max_size: Annotated[int, Field(ge=256, le=65536)] = 8192
    """Bytes of a token."""
    jwks_ttl: PositiveDuration = "10m"  # type: ignore[assignment]
    """How long fetched keys are taken as they are; then they are fetched again, in the background."""
    jwks_cooldown: PositiveDuration = "30s"  # type: ignore[assignment]
    """A token by an unknown key makes them be fetched at once, at most so often."""
    jwks_stale: Duration = "24h"  # type: ignore[assignment]
    """How long after that keys go on being used while the issuer does not answer."""
    jwks_timeout: PositiveDuration = "5s"  # type: ignore[assignment]
    """How long a fetch may take."""
    cafile: str = ""
    """PEM file of the authorities that `jwks_url`'s certificate may be by, in place of the system's. Relative to the
    stack file."""

    @model_validator(mode="after")
    def _fits(self) -> Jwt:
        if sum(place is not None for place in (self.jwks_url, self.keys, self.secret)) != 1:
            raise ValueError("keys come from exactly one of jwks_url, keys, secret")
        symmetric = [name.startswith("HS") for name in self.algorithms]
        if any(symmetric) and not all(symmetric):
            raise ValueError("algorithms mixes HS with others: a public key could then be taken for a secret")
        if self.secret is not None and not all(symmetric):
            raise ValueError("with `secret`, algorithms are of HS256, HS384, HS512")
        if self.jwks_url is not None and any(symmetric):
            raise ValueError("HS algorithms need a secret, which is not at any URL: give it by `secret` or `keys`")
        if self.leeway > 300:
            raise ValueError("leeway is at most 5m")
        return self

    @property
    def accepted(self) -> frozenset[str]:
        if self.algorithms:
            return frozenset(self.algorithms)
        return frozenset(("HS256",) if self.secret is not None else ASYMMETRIC)

    @property
    def audiences(self) -> frozenset[str]:
        return frozenset((self.audience,) if isinstance(self.audience, str) else self.audience)

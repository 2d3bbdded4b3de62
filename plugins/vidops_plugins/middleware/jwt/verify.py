"""Whether a token is valid: its form, its signature, its claims. Pure, except for the clock that is handed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidops.api import User
from vidops_plugins.middleware.jwt.strict import strict_json, unbase64url

if TYPE_CHECKING:
    from vidops_plugins.middleware.jwt.keyset import VerifyingKey
    from vidops_plugins.middleware.jwt.options import Jwt

FORBIDDEN = ("crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc")
"""Parts of a header that would bring a key of the token's own, or a meaning that is not known here."""
MAX_ROLES = 1000
MAX_TIME = 1e12


class InvalidTokenError(Exception):
    """Not a valid token; the text is for the client, and holds nothing that is not the client's."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token in its parts. Nothing in it is to be believed before `signed` says so."""

    text: bytes
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]


def parse(token: bytes, options: Jwt) -> Parsed:
    """Raises `InvalidTokenError`."""
    if len(token) > options.max_size:
        raise InvalidTokenError(f"longer than {options.max_size} bytes")
    parts = token.split(b".")
    if len(parts) != 3:
        raise InvalidTokenError("not a signed JWT")
    try:
        header, claims = (strict_json(unbase64url(part)) for part in parts[:2])
        unbase64url(parts[2])
    except ValueError as error:
        raise InvalidTokenError(f"malformed: {error}" if "key twice" in str(error) else "malformed") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise InvalidTokenError("malformed")
    if found := [name for name in FORBIDDEN if name in header]:
        raise InvalidTokenError(f"its header has {found[0]}, which is not accepted")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in options.accepted:
        raise InvalidTokenError("its algorithm is not accepted")
    if "kid" in header and (not isinstance(kid, str) or not 0 < len(kid) <= 200):
        raise InvalidTokenError("its kid is not accepted")
    if "typ" in header and not (isinstance(kind, str) and _kind(kind) in map(_kind, options.types)):
        raise InvalidTokenError("its typ is not accepted")
    return Parsed(token, algorithm, kid, claims)


def _kind(text: str) -> str:
    return text.lower().removeprefix("application/")


def check_signature(parsed: Parsed, key: VerifyingKey) -> None:
    """Raises `InvalidTokenError`."""
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry, deserialize_compact

    registry = JWSRegistry(algorithms=[parsed.algorithm], strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = registry.max_signature_length = len(parsed.text)
    try:
        deserialize_compact(parsed.text, key.key, registry=registry)
    except (JoseError, ValueError):
        raise InvalidTokenError("its signature is wrong") from None


def check_claims(claims: Mapping[str, Any], options: Jwt, now: float) -> None:
    """RFC 7519, section 4.1; `now` in Unix seconds. Raises `InvalidTokenError`."""
    if claims.get("iss") != options.issuer:
        raise InvalidTokenError("by another issuer")
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise InvalidTokenError("for no audience")
    if options.audiences.isdisjoint(named):
        raise InvalidTokenError("for another audience")
    expires, begins, made = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None:
        raise InvalidTokenError("without exp")
    if now >= expires + options.leeway:
        raise InvalidTokenError("expired")
    if begins is not None and now < begins - options.leeway:
        raise InvalidTokenError("not valid yet")
    if made is not None and now < made - options.leeway:
        raise InvalidTokenError("made in the future")
    if options.max_age is not None and (made is None or now >= made + options.max_age + options.leeway):
        raise InvalidTokenError("too old")
    for name in options.require:
        if claims.get(name) in (None, "", [], {}):
            raise InvalidTokenError("lacks a claim that is required")
    if not is_name(claim(claims, options.name)):
        raise InvalidTokenError("names nobody")


def valid_during(claims: Mapping[str, Any], options: Jwt) -> tuple[float, float]:
    """From when on, and until when, the times of claims that were found good let them pass."""
    expires, begins, made = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    ends = [] if expires is None else [expires]
    if made is not None and options.max_age is not None:
        ends.append(made + options.max_age)
    starts = [one - options.leeway for one in (begins, made) if one is not None]
    return max(starts, default=-math.inf), min(ends, default=-math.inf) + options.leeway


def is_name(value: Any) -> bool:
    """Whether it can be a user's name: something to read, and not a page of it."""
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate; None where there is none."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_TIME < value < MAX_TIME:
        raise InvalidTokenError(f"its {name} is no time")
    return value


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name; one with dots may be inside of others."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def words(value: Any) -> frozenset[str]:
    """A list of texts, or a text of words."""
    if isinstance(value, str):
        return frozenset(value.split()[:MAX_ROLES])
    if isinstance(value, list):
        return frozenset(one for one in value[:MAX_ROLES] if isinstance(one, str))
    return frozenset()


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    return words(claims.get("scope")) | words(claims.get("scp"))


def user_of_claims(claims: Mapping[str, Any], options: Jwt, via: str) -> User:
    return User(claim(claims, options.name), words(claim(claims, options.roles)), claims, via)

"""Keys that may verify a signature: what is accepted as one, and which one a token asks for. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidops.api import PermanentError
from vidops_plugins.middleware.jwt.roca import is_roca
from vidops_plugins.middleware.jwt.strict import strict_json

if TYPE_CHECKING:
    from joserfc.jwk import Key

MIN_RSA = 2048
MIN_SECRET = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes (RFC 7518, section 3.2)."""
MAX_KEYS = 100
_CURVES = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),
    "Ed448": ("EdDSA", "Ed448"),
}
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


class BadKeyError(ValueError):
    """Not to be used, and why."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """`algorithms`: what it may verify; `kid` is empty where it has none."""

    kid: str
    algorithms: frozenset[str]
    key: Key


@dataclass(frozen=True, slots=True)
class Keys:
    """`mark` tells two sets apart; `skipped` says what was left out and why."""

    keys: tuple[VerifyingKey, ...]
    mark: str
    skipped: tuple[str, ...] = ()

    def find(self, algorithm: str, kid: str | None) -> VerifyingKey | None:
        """The one key that a token means; None where there is none or more than one."""
        able = [key for key in self.keys if algorithm in key.algorithms]
        if kid is not None:
            # A key without a name may be meant by any.
            able = [key for key in able if key.kid == kid] or [key for key in able if not key.kid]
        return able[0] if len(able) == 1 else None


def from_secret(secret: str, accepted: Collection[str]) -> Keys:
    """Raises `PermanentError` for a secret that is too short, or a key that is no secret."""
    from joserfc.jwk import OctKey

    data = secret.encode()
    needed = max(MIN_SECRET[name] for name in accepted)
    if len(data) < needed:
        raise PermanentError(
            f"jwt: the secret has fewer than {needed} bytes, which {', '.join(sorted(accepted))} needs: "
            f"`openssl rand -hex {needed}`",
            reason="WeakKey",
        )
    try:
        key = VerifyingKey("", frozenset(accepted), OctKey.import_key(data))
    except ValueError:
        raise PermanentError("jwt: `secret` is a public key: give it by `keys`", reason="WeakKey") from None
    return Keys((key,), hashlib.sha256(data).hexdigest())


def from_text(text: str, accepted: Collection[str]) -> Keys:
    """PEM, a JWK or a JWK Set. Raises `PermanentError` where nothing in it may be used."""
    try:
        keys = (
            _pem(text, accepted) if "-----BEGIN" in text else from_jwks(_as_set(strict_json(text.encode())), accepted)
        )
    except ValueError as error:
        raise PermanentError(f"jwt: `keys`: {error}", reason="WeakKey") from None
    if not keys.keys:
        raise PermanentError(f"jwt: `keys` has no key to use: {'; '.join(keys.skipped)}", reason="WeakKey")
    return keys


def from_jwks(document: Any, accepted: Collection[str]) -> Keys:
    """What a JWK Set has that may be used; raises `BadKeyError` where it is none, or mixes secrets with public keys."""
    members = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise BadKeyError(f"not a JWK Set of at most {MAX_KEYS} keys")
    kinds = {member.get("kty") == "oct" for member in members if isinstance(member, Mapping)}
    if len(kinds) > 1:
        raise BadKeyError("the JWK Set mixes secrets (oct) with public keys")
    found, skipped = list[VerifyingKey](), list[str]()
    for index, member in enumerate(members):
        try:
            found.append(_jwk(member, accepted))
        except ValueError as error:
            skipped.append(f"keys[{index}]: {error}")
    mark = hashlib.sha256(json.dumps(members, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
    return Keys(tuple(found), mark, tuple(skipped))


def _as_set(document: Any) -> Any:
    return {"keys": [document]} if isinstance(document, Mapping) and "kty" in document else document


def _jwk(member: Any, accepted: Collection[str]) -> VerifyingKey:
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    if not isinstance(member, Mapping) or member.get("kty") not in ("RSA", "EC", "OKP", "oct"):
        raise BadKeyError("of no kind that is known here")
    if member["kty"] != "oct" and "d" in member:
        raise BadKeyError("a private key, which everybody has who can read it")
    if member.get("use", "sig") != "sig":
        raise BadKeyError("not for signatures")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise BadKeyError("not for verifying")
    kid = member.get("kid", "")
    if not isinstance(kid, str) or len(kid) > 200:
        raise BadKeyError("its kid is no text of at most 200 characters")
    try:
        # Only what the key is: no URL, no certificate.
        names = ("kty", "n", "e", "crv", "x", "y", "k")
        key = import_key({name: member[name] for name in names if name in member})
        able = _able(key) & frozenset(accepted)
    except BadKeyError:
        raise
    except (JoseError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadKeyError(f"not a key: {type(error).__name__}") from None
    declared = member.get("alg")
    if declared is not None:
        able &= {declared} if isinstance(declared, str) else set()
    if not able:
        raise BadKeyError("for none of the algorithms that are accepted")
    return VerifyingKey(kid, able, key)


def _pem(text: str, accepted: Collection[str]) -> Keys:
    """A public key or certificate (the first that is in the text)."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    data = text.encode()
    if "PRIVATE KEY" in text:
        raise BadKeyError("a private key, which verifying does not need: give the public one")
    try:
        certified = "BEGIN CERTIFICATE" in text
        public = x509.load_pem_x509_certificate(data).public_key() if certified else load_pem_public_key(data)
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        kinds: dict[type, type[Key]] = {rsa.RSAPublicKey: RSAKey, ec.EllipticCurvePublicKey: ECKey}
        key = next((mine for theirs, mine in kinds.items() if isinstance(public, theirs)), OKPKey).import_key(pem)
        able = _able(key) & frozenset(accepted)
    except BadKeyError:
        raise
    except (JoseError, UnsupportedAlgorithm, TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadKeyError(f"not a key: {type(error).__name__}") from None
    if not able:
        raise BadKeyError("the key is for none of the algorithms that are accepted")
    return Keys((VerifyingKey("", able, key),), hashlib.sha256(pem).hexdigest())


def _able(key: Any) -> frozenset[str]:
    """What a key can verify by its kind; raises `BadKeyError` for a weak one."""
    if key.key_type == "RSA":
        numbers = key.public_key.public_numbers()
        if numbers.n.bit_length() < MIN_RSA:
            raise BadKeyError(f"an RSA key of {numbers.n.bit_length()} bits: at least {MIN_RSA}")
        if numbers.e < 65537 or is_roca(numbers.n):
            raise BadKeyError("a weak RSA key: " + ("its exponent is small" if numbers.e < 65537 else "CVE-2017-15361"))
        return frozenset(_RSA)
    if key.key_type == "oct":
        able = frozenset(name for name, least in MIN_SECRET.items() if len(key.raw_value) >= least)
        if not able:
            raise BadKeyError("a secret of fewer than 32 bytes")
        return able
    return frozenset(_CURVES.get(key.curve_name, ()))

"""Hashes of passwords: `python3 -m vidops_plugins.middleware.passwords` makes one, of what it is told.

$scrypt$ln=15,r=8,p=1$<salt>$<hash>                PHC string, base64 without padding
$pbkdf2-sha256$i=600000$<salt>$<hash>              the same
$2y$12$<salt and hash>                             bcrypt, as htpasswd and Caddy make it
$argon2id$v=19$m=65536,t=3,p=4$<salt>$<hash>       Argon2id (RFC 9106)

The last two are computed by packages that only who has such hashes needs: the extra `passwords`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from vidops.api import PermanentError

MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that one check may take: 128 * r * 2^ln."""
_SCRYPT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,88})\$([A-Za-z0-9+/]{43,88})")
_PBKDF2 = re.compile(r"\$pbkdf2-sha(256|512)\$i=(\d{1,8})\$([A-Za-z0-9+/]{11,88})\$([A-Za-z0-9+/]{43,88})")
# Of a salt's last sign only two bits are used, and others are refused, by an error and at each look.
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{22,88}"
)
MIN_PASSWORD = 8
MIN_ROUNDS, MAX_ROUNDS = 100_000, 10_000_000
MIN_BCRYPT, MAX_BCRYPT = 10, 14
BCRYPT_LOOKS_AT = 72
"""Bytes of a password; what is longer fits no hash of bcrypt's, as others would fit it, too."""
MIN_ARGON2 = 7168 * 5
"""KiB times passes: the least of what OWASP's cheat sheet on storing passwords has."""


class BadHashError(ValueError):
    """Not a hash that is taken here; the text says why, without it."""


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """`sort`: its method and what makes it slow. Looks at hashes of one sort take equally long."""

    sort: str
    fits: Callable[[bytes], bool] = field(repr=False)
    """Whether a password is the one, in constant time. Some 100 ms of a processor: not for an event loop."""

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Raises `BadHashError`, and `PermanentError` (NoPackage) where what computes it is not installed."""
        for pattern, kind in _KINDS:
            if found := pattern.fullmatch(text):
                return cls(*kind(found))
        raise BadHashError(
            "a hash begins with $scrypt$, $pbkdf2-sha256$, $2y$ or $argon2id$ (see the how-to on restricting access)"
        )


_Kind = tuple[str, Callable[[bytes], bool]]


def _scrypt(found: re.Match[str]) -> _Kind:
    ln, r, p = (int(number) for number in found.group(1, 2, 3))
    if not (ln >= 14 and r >= 8 and 1 <= p <= 16) or 128 * r << ln > MAX_MEMORY:
        raise BadHashError(f"scrypt with ln from 14, r from 8, p to 16, within {MAX_MEMORY >> 20} MiB")
    salt, digest = _bytes(found[4]), _bytes(found[5])

    def fits(password: bytes) -> bool:
        made = hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, dklen=len(digest), maxmem=2 * MAX_MEMORY)
        return hmac.compare_digest(made, digest)

    return f"scrypt {ln} {r} {p}", fits


def _pbkdf2(found: re.Match[str]) -> _Kind:
    method, rounds, salt, digest = f"sha{found[1]}", int(found[2]), _bytes(found[3]), _bytes(found[4])
    if not MIN_ROUNDS <= rounds <= MAX_ROUNDS:
        raise BadHashError(f"PBKDF2 with {MIN_ROUNDS} to {MAX_ROUNDS} rounds")

    def fits(password: bytes) -> bool:
        return hmac.compare_digest(hashlib.pbkdf2_hmac(method, password, salt, rounds, len(digest)), digest)

    return f"pbkdf2 {method} {rounds} {len(digest)}", fits


def _bcrypt(found: re.Match[str]) -> _Kind:
    text, cost = found[0].encode(), int(found[1])
    if not MIN_BCRYPT <= cost <= MAX_BCRYPT:
        raise BadHashError(f"bcrypt with a cost of {MIN_BCRYPT} to {MAX_BCRYPT}")
    try:
        import bcrypt
    except ImportError:
        raise _missing("bcrypt") from None

    def fits(password: bytes) -> bool:
        # Computed in any case: how long an answer takes says nothing of the name.
        return bcrypt.checkpw(password[:BCRYPT_LOOKS_AT], text) and len(password) <= BCRYPT_LOOKS_AT

    return f"bcrypt {cost}", fits


def _argon2id(found: re.Match[str]) -> _Kind:
    text, (kib, passes, lanes) = found[0].encode(), (int(number) for number in found.group(1, 2, 3))
    most = MAX_MEMORY >> 10
    if not (kib <= most and kib * passes >= MIN_ARGON2 and passes <= 10 and 1 <= lanes <= 16):
        raise BadHashError(f"Argon2id with m to {most}, t to 10, p to 16, and m times t from {MIN_ARGON2}")
    try:
        from argon2.exceptions import VerificationError
        from argon2.low_level import Type, verify_secret
    except ImportError:
        raise _missing("Argon2id") from None

    def fits(password: bytes) -> bool:
        try:
            return verify_secret(text, password, Type.ID)
        except VerificationError:
            return False

    return f"argon2id {kib} {passes} {lanes}", fits


_KINDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], _Kind]], ...] = (
    (_SCRYPT, _scrypt),
    (_PBKDF2, _pbkdf2),
    (_BCRYPT, _bcrypt),
    (_ARGON2, _argon2id),
)


def _missing(method: str) -> PermanentError:
    return PermanentError(f"a hash of {method} needs more: pip install 'vidops[passwords]'", reason="NoPackage")


def hashed(password: bytes, salt: bytes, *, ln: int = 15) -> str:
    """A new scrypt hash, as `parse` takes it (32 MiB and some 100 ms with ln 15)."""
    digest = hashlib.scrypt(password, salt=salt, n=1 << ln, r=8, p=1, dklen=32, maxmem=2 * MAX_MEMORY)
    return f"$scrypt$ln={ln},r=8,p=1${_text(salt)}${_text(digest)}"


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise BadHashError("salt and hash are base64 without padding") from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


def main() -> int:
    """Ask for a password (or read one line of standard input) and print its hash."""
    import getpass

    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < MIN_PASSWORD:
        sys.stderr.write(f"a password has at least {MIN_PASSWORD} characters\n")
        return 1
    sys.stdout.write(hashed(password.encode(), secrets.token_bytes(16)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Hashes of passwords: `python3 -m vidops_plugins.middleware.passwords` makes one, of what it is told.

$scrypt$ln=15,r=8,p=1$<salt>$<hash>                PHC string, base64 without padding
$pbkdf2-sha256$i=600000$<salt>$<hash>              the same
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import sys
from dataclasses import dataclass

MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that one check may take: 128 * r * 2^ln."""
_SCRYPT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,88})\$([A-Za-z0-9+/]{43,88})")
_PBKDF2 = re.compile(r"\$pbkdf2-sha(256|512)\$i=(\d{1,8})\$([A-Za-z0-9+/]{11,88})\$([A-Za-z0-9+/]{43,88})")
MIN_PASSWORD = 8
MIN_ROUNDS, MAX_ROUNDS = 100_000, 10_000_000


class BadHashError(ValueError):
    """Not a hash that is taken here; the text says why, without it."""


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """`cost` is (ln, r, p) of scrypt, (rounds,) of PBKDF2."""

    method: str
    cost: tuple[int, ...]
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Raises `BadHashError`."""
        if found := _SCRYPT.fullmatch(text):
            cost = tuple(int(number) for number in found.group(1, 2, 3))
            if not (cost[0] >= 14 and cost[1] >= 8 and 1 <= cost[2] <= 16) or 128 * cost[1] << cost[0] > MAX_MEMORY:
                raise BadHashError(f"scrypt with ln from 14, r from 8, p to 16, within {MAX_MEMORY >> 20} MiB")
            return cls("scrypt", cost, _bytes(found[4]), _bytes(found[5]))
        if found := _PBKDF2.fullmatch(text):
            if not MIN_ROUNDS <= int(found[2]) <= MAX_ROUNDS:
                raise BadHashError(f"PBKDF2 with {MIN_ROUNDS} to {MAX_ROUNDS} rounds")
            return cls(f"sha{found[1]}", (int(found[2]),), _bytes(found[3]), _bytes(found[4]))
        raise BadHashError("a hash begins with $scrypt$ or $pbkdf2-sha256$ (see the how-to on restricting access)")

    def fits(self, password: bytes) -> bool:
        """Takes some 100 ms of a processor: not for an event loop. The comparison is in constant time."""
        return hmac.compare_digest(self._computed(password), self.digest)

    def _computed(self, password: bytes) -> bytes:
        length = len(self.digest)
        if self.method != "scrypt":
            return hashlib.pbkdf2_hmac(self.method, password, self.salt, self.cost[0], length)
        ln, r, p = self.cost
        return hashlib.scrypt(password, salt=self.salt, n=1 << ln, r=r, p=p, dklen=length, maxmem=2 * MAX_MEMORY)


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

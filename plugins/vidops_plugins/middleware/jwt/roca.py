"""RSA keys by a faulty chip library, whose private half can be computed (CVE-2017-15361, "ROCA").

Their primes are k·M + (65537^a mod M), so the modulus is a power of 65537 modulo every small prime. Of other moduli,
one in 2^27 is.
"""

from __future__ import annotations

from functools import cache

PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
          101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167)  # fmt: skip


@cache
def powers(prime: int) -> frozenset[int]:
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime))


def is_roca(modulus: int) -> bool:
    return all(modulus % prime in powers(prime) for prime in PRIMES)

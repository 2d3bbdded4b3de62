"""Every gateway and every command pays for what plugins import: what one type alone needs comes with its first use."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "aioquic", "argon2", "authlib", "bcrypt", "cryptography", "hishel", "joserfc", "psutil", "quart", "redis", "boto3",
    "botocore",
)  # fmt: skip
PROGRAM = f"""
import sys
import vidops.gateway.__main__
from vidops.runtime.plugins import load_catalogue
assert load_catalogue(()).middleware["cache"]
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""


def test_knowing_all_types_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []

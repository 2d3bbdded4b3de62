"""Runs a module on a host that umockdev pretends."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

needs_umockdev = pytest.mark.skipif(shutil.which("umockdev-wrapper") is None, reason="needs Debian's package umockdev")


def printed(module: str) -> list[str]:
    """What `python -m module` prints below umockdev-wrapper, line by line."""
    argv = ["umockdev-wrapper", sys.executable, "-m", module]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()

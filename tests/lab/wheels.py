"""The wheels that a guest without network installs: the checkout's own, and all that it needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from .cache import Cache, digest

PROJECT = Path(__file__).parents[2]

GUEST_PYTHON = "3.11"
GUEST_GLIBC = 36
"""Debian 12's. The host may have another Python, so pip is told for whom it downloads."""


def build_wheel(directory: Path) -> Path:
    """The wheel of this checkout, built into `directory`."""
    _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(PROJECT))
    (wheel,) = directory.glob("vidops-*.whl")
    return wheel


def ensure_wheelhouse(cache: Cache) -> Path:
    """A directory of wheels with everything that the checkout's wheel needs, of the newest allowed versions."""
    dependencies: list[str] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(17, GUEST_GLIBC + 1)] + ["manylinux2014_x86_64"]

    def build(directory: Path) -> None:
        target = ["--only-binary=:all:", "--python-version", GUEST_PYTHON, "--implementation", "cp"]
        for platform in platforms:
            target += ["--platform", platform]
        _pip("download", "--quiet", "--dest", str(directory), *target, *dependencies)

    return cache.get("wheels", digest([GUEST_PYTHON, *sorted(dependencies)]), build)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}")

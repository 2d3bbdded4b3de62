"""A gateway for each test."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.gateway.plugins import Probe, catalogue
from tests.gateway.world import World


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def world(probe: Probe, server: str) -> AsyncIterator[World]:
    """Not started yet; ended in good order after the test. Has the test's own handlers besides the built-in ones."""
    it = World(catalogue(probe), server)
    yield it
    await it.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    return _make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def other_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return _make_certificate(tmp_path_factory.mktemp("tls"))


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path leaves room for a unix socket's name."""
    root = tempfile.mkdtemp(prefix="vo", dir="/tmp")
    yield Path(root)
    shutil.rmtree(root)

"""Which server the gateways of a test stand on."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module whose laws are the server's sets `SERVERS`: its tests run over each of them."""
    servers = getattr(metafunc.module, "SERVERS", None)
    if servers is not None and "server" in metafunc.fixturenames:
        metafunc.parametrize("server", servers)


@pytest.fixture
def server() -> str:
    return "hypercorn"

"""A gateway for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateway.plugins import Probe, catalogue
from tests.gateway.world import World


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def world(probe: Probe) -> AsyncIterator[World]:
    """Not started yet; ended in good order after the test. Has the test's own handlers besides the built-in ones."""
    it = World(catalogue(probe))
    yield it
    await it.close()

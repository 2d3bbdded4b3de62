"""A gateway for each test, with handlers of which tests see the inside."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateway.stage import Stage
from tests.gateway.world import World


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def world(stage: Stage, server: str) -> AsyncIterator[World]:
    """Not started yet; ended in good order after the test."""
    it = World(stage.catalogue(), server)
    yield it
    await it.close()

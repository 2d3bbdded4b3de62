"""A gateway for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateway.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Not started yet; ended in good order after the test."""
    it = World()
    yield it
    await it.close()

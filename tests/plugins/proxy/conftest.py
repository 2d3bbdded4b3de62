from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateway.conftest import certificate as certificate  # noqa: PLC0414 - a fixture
from tests.plugins.proxy.upstream import Service


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """One upstream that says hello."""
    it = await Service().start()
    yield it
    await it.stop()


@pytest.fixture
async def other() -> AsyncIterator[Service]:
    it = await Service().start()
    yield it
    await it.stop()

"""One gateway for a module's cases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.plugins.cache.corpus.play import Theatre


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre() -> AsyncIterator[Theatre]:
    it = Theatre()
    await it.start()
    yield it
    await it.stop()

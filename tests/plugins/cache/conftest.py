"""A cache for each test."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugins.cache.origin import Fields, Make, World, install


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """A world whose application answers with these fields and counts itself in the body."""

    def made(fields: Fields | None = None, status: int = 200, **options: Any) -> World:
        world = World(options=options)
        world.says = lambda _: (status, fields or {}, b"answer %d" % len(world.asked))
        return install(monkeypatch, world)

    return made

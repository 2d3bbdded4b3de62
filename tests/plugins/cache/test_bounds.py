"""`cache` holds no more than it may, whoever writes what into requests and answers."""

from __future__ import annotations

import pytest

from tests.plugins.cache.origin import FRESH, Make


async def test_memory_is_bounded_whatever_clients_write(make: Make) -> None:
    """A URL and the fields that Vary names are kept, too."""
    for says, write in (
        ({}, lambda number: (f"/?{number}" + "a" * 1900, {})),
        ({"vary": "x-lang"}, lambda number: (f"/{number}", {"x_lang": "a" * 20_000})),
    ):
        world = make({**FRESH, **says}, max_size="100kB")
        for number in range(100):
            path, fields = write(number)
            await world.get(path, **fields)
            held = [(key, stored) for key in tuple(world.store.keys()) for stored in world.store.of(key)]
            written = [*(part for key, _ in held for part in key), *(v for _, s in held for v in s.varied.values())]
            assert sum(map(len, written)) < world.store.size <= 100_000
        path, fields = write(99)
        assert (await world.get(path, **fields)).hit
        for key in tuple(world.store.keys()):
            world.store.drop(key)
        assert world.store.size == 0


async def test_a_url_that_is_very_long_is_not_kept(make: Make) -> None:
    world = make(FRESH)
    for length, hit in ((2000, True), (2100, False)):
        await world.get("/" + "a" * length)
        assert (await world.get("/" + "a" * length)).hit is hit
        await world.get("/?" + "a" * length)
        assert (await world.get("/?" + "a" * length)).hit is hit


@pytest.mark.parametrize("length_is_said", [True, False])
async def test_what_is_larger_than_all_that_is_kept_passes_through(make: Make, length_is_said: bool) -> None:
    world = make(FRESH, max_size="50kB", max_object="1MB")
    for path in ("/a", "/b"):
        await world.get(path)
    body = b"x" * 50_000
    world.says = lambda _: (200, {**FRESH, **({"content-length": "50000"} if length_is_said else {})}, body)
    for _ in range(2):
        large = await world.get("/large")
        assert large.body == body
        assert not large.hit
        assert not (length_is_said and "stored" in large.headers["cache-status"])
    for path in ("/a", "/b"):
        assert (await world.get(path)).hit, "the rest stays"


async def test_variants_that_are_too_many_push_nothing_else_out(make: Make) -> None:
    world = make(FRESH, max_size="50kB")
    await world.get("/a")
    world.says = lambda _: (200, {**FRESH, "vary": "x-lang"}, b"x" * 20_000)
    for number in range(10):
        await world.get("/v", x_lang=str(number))
        assert (await world.get("/a")).hit
    assert [(await world.get("/v", x_lang=str(number))).hit for number in (9, 8, 7)] == [True, True, False]


async def test_what_has_become_too_large_is_in_nothings_place(make: Make) -> None:
    world = make({**FRESH, "etag": '"1"'}, max_object="1kB")
    await world.get("/")
    world.now += 61
    world.says = lambda _: (200, FRESH, b"x" * 2000)
    assert len((await world.get("/")).body) == 2000
    assert not list(world.store.keys())

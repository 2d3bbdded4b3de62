"""`cache` while answers are on their way: who waits, who is given something stale, what is asked again."""

from __future__ import annotations

import asyncio

import pytest

from tests.plugins.cache.origin import FRESH, Asked, Fields, Make, validated


async def test_stale_while_revalidate(make: Make) -> None:
    world = make({"cache-control": "max-age=60, stale-while-revalidate=30"})
    await world.get("/")
    world.now += 80
    world.gate = asyncio.Event()
    for _ in range(5):
        assert (await world.get("/")).body == b"answer 1"
    await asyncio.sleep(0.01)
    assert len(world.asked) == 2, "one refresh is under way, and nobody waits for it"
    world.gate.set()
    await asyncio.sleep(0.01)
    assert (await world.get("/")).body == b"answer 2"
    world.now += 100
    world.gate = None
    assert (await world.get("/")).body == b"answer 3"


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("stale-if-error=60", True),
        ("stale-if-error=5", False),
        ("stale-if-error=60, must-revalidate", False),
        ("", False),
    ],
)
async def test_stale_if_error(make: Make, said: str, instead: bool) -> None:
    world = make({"cache-control": f"max-age=60, {said}".rstrip(", ")})
    await world.get("/")
    world.now += 80
    world.says = lambda _: (503, {}, b"down")
    answer = await world.get("/")
    assert (answer.status, answer.body) == ((200, b"answer 1") if instead else (503, b"down"))

    def broken(_: Asked) -> tuple[int, Fields, bytes]:
        raise RuntimeError("the upstream is gone")

    world.says = broken
    if instead:
        assert (await world.get("/")).body == b"answer 1"
    else:
        with pytest.raises(RuntimeError):
            await world.get("/")


async def test_those_who_want_the_same_wait_for_the_first(make: Make) -> None:
    world = make(FRESH)
    world.gate = asyncio.Event()
    asking = [asyncio.create_task(world.get("/")) for _ in range(20)]
    await asyncio.sleep(0.01)
    world.gate.set()
    answers = await asyncio.gather(*asking)
    assert len(world.asked) == 1
    assert {answer.body for answer in answers} == {b"answer 1"}
    assert sum(answer.hit for answer in answers) == 19


async def test_what_is_not_kept_is_waited_for_no_longer_than_it_takes_to_say_so(make: Make) -> None:
    world = make({"cache-control": "no-store"})
    world.gate = asyncio.Event()
    asking = [asyncio.create_task(world.get("/")) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert len(world.asked) == 1
    world.gate.set()
    assert len({answer.body for answer in await asyncio.gather(*asking)}) >= 1
    assert len(world.asked) == 5


async def test_a_slow_first_one_is_not_waited_for_without_end(make: Make) -> None:
    world = make(FRESH, collapse="50ms")
    world.gate = asyncio.Event()
    asking = [asyncio.create_task(world.get("/")) for _ in range(2)]
    await asyncio.sleep(0.2)
    assert len(world.asked) == 2
    world.gate.set()
    await asyncio.gather(*asking)


async def test_a_304_of_something_else_is_asked_anew(make: Make) -> None:
    world = make()
    validated(world, "1")
    await world.get("/")
    world.now += 20

    def says(asked: Asked) -> tuple[int, Fields, bytes]:
        if "if-none-match" in asked.headers:
            return 304, {"etag": '"2"'}, b""
        return 200, {"etag": '"2"', **FRESH}, b"version 2"

    world.says = says
    answer = await world.get("/")
    assert (answer.status, answer.body) == (200, b"version 2")
    assert (await world.get("/")).hit


async def test_what_one_person_revalidated_is_not_kept_for_all(make: Make) -> None:
    world = make()
    validated(world, "1")
    await world.get("/")
    world.now += 20
    assert (await world.get("/", user="ann")).body == b"version 1"
    assert not (await world.get("/")).hit


async def test_a_refresh_that_fails_is_in_the_log(make: Make) -> None:
    world = make({"cache-control": "max-age=60, stale-while-revalidate=30"})
    await world.get("/a")
    world.now += 80

    def broken(_: Asked) -> tuple[int, Fields, bytes]:
        raise RuntimeError("the upstream is gone")

    world.says = broken
    assert (await world.get("/a")).body == b"answer 1"
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (record,) = world.log
    assert (record["event"], record["path"]) == ("refresh_failed", "/a")
    assert "the upstream is gone" in str(record["error"])

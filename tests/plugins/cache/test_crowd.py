"""`cache` and many who want the same at once: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.plugins.cache.origin import FRESH, Fields, Make, World
from vidops_plugins.middleware.cache import crowd
from vidops_plugins.middleware.cache.crowd import Crowd

WHO = [{"authorization": "Basic x"}, {"cookie": "session=1"}, {"user": "ann"}]
TURN: Fields = {"cache-control": "no-store"}


async def at_once(world: World, count: int, **asks: str) -> int:
    """How many of so many at once the application is asked."""
    before, world.gate = len(world.asked), asyncio.Event()
    asking = [asyncio.create_task(world.get("/", **asks)) for _ in range(count)]
    await asyncio.sleep(0.02)
    asked = len(world.asked) - before
    world.gate.set()
    await asyncio.gather(*asking)
    world.gate = None
    return asked


async def test_nobody_waits_again_for_what_was_not_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(TURN)
    assert await at_once(world, 5) == 1, "nobody knows yet"
    assert await at_once(world, 5) == 5
    monkeypatch.setattr(crowd, "VAIN", 0.01)
    await world.get("/")
    await asyncio.sleep(0.02)
    assert await at_once(world, 5) == 1, "for a while"


async def test_what_is_kept_again_is_waited_for_again(make: Make) -> None:
    world = make(TURN)
    await world.get("/")
    world.says = lambda _: (200, FRESH, b"kept")
    await world.get("/")
    world.now += 100
    for key in tuple(world.store.keys()):
        world.store.drop(key)
    assert await at_once(world, 5) == 1


@pytest.mark.parametrize("length_is_said", [True, False])
async def test_nor_for_what_is_too_large(make: Make, length_is_said: bool) -> None:
    world = make(max_object="1kB")
    fields = {**FRESH, **({"content-length": "2000"} if length_is_said else {})}
    world.says = lambda _: (200, fields, b"x" * 2000)
    await world.get("/")
    assert await at_once(world, 5) == 5


@pytest.mark.parametrize("who", WHO)
async def test_who_has_a_name_waits_for_nobody_and_nobody_for_them(make: Make, who: dict[str, str]) -> None:
    world = make({"cache-control": "max-age=60, public"})
    assert await at_once(world, 5, **who) == 5
    # What they are given may be for all all the same.
    assert (await world.get("/")).hit
    world = make(TURN)
    await world.get("/", **who)
    assert await at_once(world, 5) == 1, "what is not kept of theirs says nothing of the others'"


@pytest.mark.parametrize("asks", [{"cache_control": "no-store"}, {"if_none_match": '"x"'}, {"content": b"x"}])
async def test_what_one_asks_for_oddly_is_not_the_others_loss(make: Make, asks: dict[str, str]) -> None:
    world = make()
    world.says = lambda asked: (304 if "if-none-match" in asked.headers else 200, FRESH, b"")
    await world.get("/", **asks)
    assert await at_once(world, 5) == 1


async def test_waiting_ends_with_the_head_of_what_is_not_kept(make: Make) -> None:
    world = make(TURN)
    reads = asyncio.Event()
    slow = asyncio.create_task(world.get("/", reads=reads))
    await asyncio.sleep(0)
    begun = time.monotonic()
    assert (await world.get("/")).body == b"answer 2"
    assert time.monotonic() - begun < 2
    reads.set()
    await slow


async def test_who_reads_slowly_holds_nobody_up(make: Make) -> None:
    world = make(FRESH)
    reads = asyncio.Event()
    slow = asyncio.create_task(world.get("/", reads=reads))
    await asyncio.sleep(0.01)
    begun = time.monotonic()
    assert (await world.get("/")).body == b"answer 2"
    assert time.monotonic() - begun < 2
    assert (await world.get("/")).hit
    reads.set()
    assert (await slow).body == b"answer 1"


async def test_while_somebody_reads_slowly_the_others_have_one_of_them_ask(make: Make) -> None:
    world = make(FRESH)
    reads = asyncio.Event()
    slow = asyncio.create_task(world.get("/", reads=reads))
    await asyncio.sleep(0.2)
    assert await at_once(world, 5) == 1
    reads.set()
    await slow


def test_what_is_remembered_is_bounded() -> None:
    it = Crowd(1.0)
    for number in range(2 * crowd.MOST_VAIN):
        it.learn((str(number),), kept=False)
    assert len(it._vain) == crowd.MOST_VAIN
    assert it.is_vain((str(2 * crowd.MOST_VAIN - 1),))

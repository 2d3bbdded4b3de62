"""`rate_limit`: never more than agreed, whoever asks however, in memory and in a real Redis."""

from __future__ import annotations

import asyncio
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import World, route
from vidops.testing import free_port
from vidops_plugins.middleware.rate_limit import Own, RateLimit, key_of, network


def link(**options: Any) -> dict[str, Any]:
    return {"type": "rate_limit", "options": options}


async def test_what_is_left_is_said_and_too_many_are_refused(world: World) -> None:
    await world.start([route("/", "echo", chain=[link(limit=3, per="1h")])])
    async with await Client.connect(world.port) as client:
        left = []
        for _ in range(3):
            answer = await client.get("/")
            assert answer.status == 200
            assert answer.headers["ratelimit-policy"] == '"default";q=3;w=3600'
            left.append(answer.headers["ratelimit"].split(";")[1])
        assert left == ["r=2", "r=1", "r=0"]
        answer = await client.get("/")
    assert (answer.status, answer.json()["reason"]) == (429, "RateLimited")
    assert 1 <= int(answer.headers["retry-after"]) <= 1200


async def test_an_edit_of_the_route_begins_no_new_count(world: World) -> None:
    chain = [link(limit=2, per="1h")]
    await world.start([route("/", "respond", body="hi", chain=chain)])
    assert [(await get(world.port, "/")).status for _ in range(2)] == [200, 200]
    await world.edit([route("/", "respond", body="hello", chain=chain)])
    assert (await get(world.port, "/")).status == 429
    await world.edit([route("/", "respond", body="hello", chain=[link(limit=3, per="1h")])])
    assert (await get(world.port, "/")).status == 200, "another rate is another count"


async def test_waiting_as_told_is_enough(world: World) -> None:
    await world.start([route("/", "echo", chain=[link(limit=1, per="1s")])])
    async with await Client.connect(world.port) as client:
        assert (await client.get("/")).status == 200
        refused = await client.get("/")
        assert refused.status == 429
        await asyncio.sleep(int(refused.headers["retry-after"]))
        assert (await client.get("/")).status == 200


async def test_keys_are_told_apart(world: World) -> None:
    await world.start([route("/", "echo", chain=[link(limit=1, per="1h", by="header:X-Key")])])
    async with await Client.connect(world.port) as client:
        found = [(await client.get("/", headers=f"X-Key: {key}\r\n")).status for key in ("a", "b", "a", "c", "b")]
    assert found == [200, 200, 429, 200, 429]


async def test_routes_are_told_apart(world: World) -> None:
    await world.start([route(path, "echo", chain=[link(limit=1, per="1h")]) for path in ("/a", "/b")])
    assert [(await get(world.port, path)).status for path in ("/a", "/b", "/a")] == [200, 200, 429]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_an_address_is_what_one_client_has(address: str, expected: str) -> None:
    assert network(address) == expected


def test_no_header_can_be_anothers_address() -> None:
    key = key_of("header:x-key")
    named = key({"client": ("10.0.0.1", 1), "headers": [(b"x-key", b"client 192.0.2.7")]})
    assert named != key({"client": ("192.0.2.7", 1), "headers": []})


@settings(deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 10),
    st.one_of(st.none(), st.integers(1, 10)),
    st.lists(st.floats(0, 3), max_size=80),
)
async def test_never_more_than_agreed_in_any_window(
    limit: int, per: int, burst: int | None, pauses: list[float]
) -> None:
    """Of any window of w seconds: at most the burst, and what the rate gives in w."""
    import throttled.utils

    options = RateLimit.model_validate({"limit": limit, "per": f"{per}s", "burst": burst})
    ask = Own(options).ask
    now, passed = 1000.0, []
    clock = throttled.utils.now_mono_f
    throttled.utils.now_mono_f = lambda: now
    try:
        for pause in pauses:
            now += pause
            if not (await ask("k")).limited:
                passed.append(now)
    finally:
        throttled.utils.now_mono_f = clock
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            window = passed[last] - passed[first]
            assert last - first + 1 <= (burst or limit) + window * limit / per + 1e-6


@pytest.mark.timeout(120)
async def test_a_million_keys_take_bounded_memory() -> None:
    ask = Own(RateLimit(limit=10, keys=1000)).ask
    for number in range(5000):
        await ask(f"warm {number}")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100_000):
            await ask(f"client {number}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_000_000
    began = time.monotonic()
    for number in range(900_000):
        await ask(f"client {number}")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "wrong", [{"per": "500ms"}, {"per": "1500ms"}, {"limit": 0}, {"by": "cookie"}, {"by": "header:"}]
)
def test_what_is_no_rate(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"whole seconds|greater|pattern"):
        RateLimit.model_validate({"limit": 5, **wrong})


@pytest.fixture
def redis() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "word"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        yield port, process
    finally:
        process.kill()
        process.wait()


@pytest.mark.integration
@pytest.mark.parametrize("outage", ["allow", "refuse"])
async def test_hosts_share_a_redis_and_live_without_it(
    world: World, redis: tuple[int, subprocess.Popen[bytes]], outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, process = redis
    monkeypatch.setenv("REDIS_PASSWORD", "word")
    shared = {
        "url": f"redis://127.0.0.1:{port}/0",
        "password": {"env": "REDIS_PASSWORD"},
        "timeout": "1s",
        "on_outage": outage,
    }
    await world.start([route("/", "echo", chain=[link(limit=3, per="1h", redis=shared)])])
    other = World()
    try:
        await other.start([route("/", "respond", chain=[link(limit=3, per="1h", redis=shared)])])
        async with asyncio.timeout(20):
            while (await get(world.port, "/")).headers.get("ratelimit") is None:
                await asyncio.sleep(0.2)
        found = [(await get(w.port, "/")).status for w in (other, world, other, world)]
        assert found == [200, 200, 429, 429]
        process.kill()
        process.wait()
        answer = await get(world.port, "/")
        assert answer.status == (200 if outage == "allow" else 503)
        assert [r for r in world.log if r["event"] == "redis_down"]
        assert "word" not in str(world.log)
    finally:
        await other.close()

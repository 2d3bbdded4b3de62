"""What links of a chain note of a request is seen by those before them, whatever stands between."""

from __future__ import annotations

import gc
import hashlib

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import BOTH, World, route

SERVERS = BOTH
BETWEEN = {"type": "headers", "options": {"request": {"set": {"x-between": "1"}}}}


@pytest.mark.parametrize("between", [[], [BETWEEN], ["csp", BETWEEN, "traceparent"]])
async def test_the_log_has_what_comes_after_it(world: World, between: list[object]) -> None:
    proxies = {"type": "trusted_proxies", "options": {"networks": ["127.0.0.0/8"]}}
    chain = ["access_log", *between, "request_id", proxies, "traceparent"]
    await world.start([route("/", "respond", body="hi", chain=chain)])
    answer = await get(world.port, "/", headers="X-Forwarded-For: 192.0.2.7\r\n")
    (record,) = [entry for entry in world.log if entry.get("event") == "request"]
    assert record["request_id"] == answer.headers["x-request-id"]
    assert record["client"] == "192.0.2.7"
    assert len(record["trace_id"]) == 32
    assert record["host"] == "localhost"
    assert not {"user", "tenant"} & set(record)


async def test_the_log_says_who_asked(world: World) -> None:
    digest = "sha256:" + hashlib.sha256(b"a long enough key").hexdigest()
    key = {"type": "api_key", "options": {"clients": {"ann": {"hashes": [digest]}}}}
    await world.start([route("/", "respond", body="hi", chain=["access_log", BETWEEN, key])])
    assert (await get(world.port, "/", headers="X-API-Key: a long enough key\r\n")).status == 200
    (record,) = [entry for entry in world.log if entry.get("event") == "request"]
    assert record["user"] == "ann"


async def test_a_request_leaves_nothing_for_the_garbage_collector(world: World) -> None:
    """What refers to itself stays until that looks, and costs time then."""
    chain = ["access_log", "metrics", "request_id", BETWEEN, "security_headers"]
    await world.start([route("/", "respond", body="hi", chain=chain)])
    async with await Client.connect(world.port) as client:
        for _ in range(20):
            await client.get("/")
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                await client.get("/")
            left = gc.collect()
        finally:
            gc.enable()
    assert left < 100

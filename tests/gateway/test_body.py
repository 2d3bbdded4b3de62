"""The watch over a request's body, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vidops.gateway.body import RATE, Body
from vidops.gateway.guard import Refused


def scope(**headers: str) -> Any:
    return {"type": "http", "headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]}


def arriving(*steps: tuple[float, bytes, bool]) -> Any:
    """A `receive` that delivers (after seconds, data, more)."""
    waiting = list(steps)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        delay, data, more = waiting.pop(0)
        await asyncio.sleep(delay)
        return {"type": "http.request", "body": data, "more_body": more}

    return receive


async def test_the_grace_is_for_the_whole_body() -> None:
    body = Body(scope(), arriving(*[(0.06, b"x", True)] * 10), grace=0.2)

    async def read_all() -> None:
        while not body.complete:
            await body()

    with pytest.raises(Refused) as caught:
        await read_all()
    assert caught.value.status == 408
    assert 2 <= body.received <= 4


async def test_bytes_earn_time() -> None:
    body = Body(scope(), arriving(*[(0.06, b"x" * int(RATE), True)] * 5, (0, b"", False)), grace=0.1)
    for _ in range(6):
        await body()
    assert body.complete


async def test_time_that_the_application_takes_is_not_counted() -> None:
    body = Body(scope(), arriving((0.05, b"a", True), (0.05, b"b", False)), grace=0.2)
    await body()
    await asyncio.sleep(0.3)
    await body()
    assert body.complete


async def test_after_the_body_there_is_no_hurry() -> None:
    body = Body(scope(), arriving((0, b"", False)), grace=0.01)
    await body()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await body()


async def test_the_limit_can_be_changed_before_the_first_read() -> None:
    body = Body(scope(content_length="5"), arriving((0, b"hello", False)), limit=4)
    with pytest.raises(Refused):
        await body()
    body.limit = 5
    assert (await body())["body"] == b"hello"


async def test_draining_ends() -> None:
    endless = Body(scope(), arriving(*[(0, b"x" * 100_000, True)] * 50))
    await endless.drain()
    assert endless.received == 300_000

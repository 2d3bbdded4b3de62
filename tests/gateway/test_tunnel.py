"""A tunnel's queue: what came before the end is read before the end, and a client is held back by who does not read."""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.protocol.events import Data, StreamClosed

from vidops.gateway.config import hypercorn_config
from vidops.gateway.tunnel import QUEUED, TunnelStream


def opened() -> TunnelStream:
    """One whose handshake is over; nothing stands on either side of it."""
    absent: Any = None
    stream = TunnelStream(absent, hypercorn_config(), absent, absent, False, None, None, absent, 1)
    stream.opened = True
    return stream


async def all_of(stream: TunnelStream) -> list[bytes]:
    found = []
    while data := await asyncio.wait_for(stream.read(), 5):
        found.append(data)
    return found


async def test_an_end_takes_nothing_away() -> None:
    stream = opened()
    parts = [b"%d" % number for number in range(QUEUED)]
    for part in parts:
        await asyncio.wait_for(stream.handle(Data(1, part)), 5)
    await stream.handle(StreamClosed(1))
    assert await all_of(stream) == parts
    assert await stream.read() == b"", "an end stays one"


async def test_who_does_not_read_holds_back_the_client() -> None:
    stream = opened()
    for _ in range(QUEUED):
        await asyncio.wait_for(stream.handle(Data(1, b"x")), 5)
    waiting = asyncio.ensure_future(stream.handle(Data(1, b"last")))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    assert await stream.read() == b"x"
    await asyncio.wait_for(waiting, 5)
    await stream.handle(StreamClosed(1))
    assert await all_of(stream) == [b"x"] * (QUEUED - 1) + [b"last"]


async def test_who_stops_reading_lets_go_of_the_client() -> None:
    stream = opened()
    for _ in range(QUEUED):
        await stream.handle(Data(1, b"x"))
    waiting = asyncio.ensure_future(stream.handle(Data(1, b"x")))
    await asyncio.sleep(0)
    stream.close()
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(stream.handle(Data(1, b"after")), 5)
    assert b"after" not in await all_of(stream)

"""Every version of HTTP takes heads of the same size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.client import Client
from tests.gateway.h2client import H2Client
from tests.gateway.h3client import H3Client
from tests.gateway.world import BOTH, World, route
from vidops.gateway.config import MAX_HEAD

SERVERS = BOTH


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_head_has_32_kib(world: World, certificate: tuple[Path, Path], version: int) -> None:
    cert, key = certificate
    tls = {"certfile": str(cert), "keyfile": {"file": str(key)}, "http3": True}
    await world.start([route("/", "respond", body="hi")], **({"tls": tls} if version > 1 else {}))
    # What is counted besides names and values differs: lines over HTTP/1.1, 32 bytes a field over HTTP/2 and 3.
    assert await status(world, cert, version, MAX_HEAD - 2048) == 200
    assert await status(world, cert, version, MAX_HEAD + 1) in (431, None)


async def status(world: World, cert: Path, version: int, size: int) -> int | None:
    """None where the connection or the stream ended without an answer."""
    fields = [(f"x-{number}", "a" * 1000) for number in range(size // 1004)] + [("x", "a" * (size % 1004))]
    if version == 1:
        async with await Client.connect(world.port) as client:
            return (await client.get("/", headers="".join(f"{n}: {v}\r\n" for n, v in fields))).status
    it: Any = await (H2Client.connect if version == 2 else H3Client.to)(world.port, cert)
    try:
        stream = it.request("/", *fields)
        try:
            return int((await it.answer(stream))[0])
        except (AssertionError, KeyError):
            return None
    finally:
        await (it.close if version == 2 else it.end)()

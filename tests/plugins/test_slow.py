"""Clients that are slow on purpose (slowhttptest): cut off, and nobody else notices."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from pathlib import Path

import pytest

from tests.gateway.client import Client, get
from tests.gateway.world import BOTH, World, route
from vidops.gateway import body, outflow

SERVERS = BOTH

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="needs Debian's package slowhttptest"),
]

CLIENTS = 200
MODES = {
    # Slow heads: a line a second.
    "-H": ["-i", "1", "-x", "24"],
    # Slow bodies: a few bytes a second.
    "-B": ["-i", "1", "-x", "10", "-s", "8192", "-t", "POST"],
    # Slow readers: 32 bytes in five seconds from a tiny window.
    "-X": ["-n", "5", "-z", "32", "-w", "256", "-y", "512", "-k", "1"],
}


@pytest.mark.parametrize("mode", MODES, ids=["heads", "bodies", "reads"])
async def test_slow_clients_are_cut_off_and_others_are_served(
    world: World, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (body, outflow):
        monkeypatch.setattr(module, "GRACE", 2.0)
    monkeypatch.setattr(outflow, "RATE", 50_000.0)
    world.gateway.head_timeout = 2.0
    (tmp_path / "large.bin").write_bytes(bytes(4_000_000))
    limits = {"type": "limits", "options": {"body_time": "2s"}}
    await world.start(
        [
            route("/quick", "respond", body="here"),
            route("/echo", "echo", chain=[limits]),
            route("/files/**", "static", root=str(tmp_path)),
        ]
    )
    path = {"-H": "/quick", "-B": "/echo", "-X": "/files/large.bin"}[mode]
    command = [
        "slowhttptest",
        mode,
        "-c",
        str(CLIENTS),
        "-r",
        "200",
        "-l",
        "12",
        "-u",
        f"http://127.0.0.1:{world.port}{path}",
    ]
    attack = await asyncio.create_subprocess_exec(
        *command,
        *MODES[mode],
        "-p",
        "3",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert attack.stdout is not None
    reading = asyncio.ensure_future(attack.stdout.read())
    waits, most = [], 0
    while not reading.done():
        began = time.monotonic()
        assert (await get(world.port, "/quick")).body == b"here"
        waits.append(time.monotonic() - began)
        most = max(most, world.gateway.status()["connections"])
        await asyncio.sleep(0.05)
    said = re.sub(r"\x1b\[[0-9;]*m", "", (await reading).decode(errors="replace"))
    await attack.wait()
    with capsys.disabled():
        print(f"\n{mode}: at most {most} connections, others waited {max(waits) * 1000:.0f} ms at most")
    assert most > CLIENTS / 2, said[-2000:]
    assert max(waits) < 1.0
    # Each was cut off within seconds, and none is held.
    assert re.search(r"service available:\s+YES", said), said[-2000:]
    if mode != "-X":
        assert "No open connections left" in said, said[-2000:]
    else:
        # The tool does not notice what it does not read.
        cut = [r for r in world.log if r["event"] == "refused" and r["detail"] == "the answer was read too slowly"]
        assert len(cut) >= CLIENTS * 0.95
    assert world.gateway.status()["connections"] <= CLIENTS * 0.05


async def test_one_that_reads_slowly_and_steadily_gets_it_all(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outflow, "GRACE", 1.0)
    (tmp_path / "large.bin").write_bytes(bytes(20_000_000))
    await world.start([route("/files/**", "static", root=str(tmp_path))])
    async with await Client.connect(world.port, limit=1 << 16) as client:
        client.send(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
        got = 0
        while got < 20_000_000:
            got += len(await client.reader.read(1 << 20))
            await asyncio.sleep(0.05)
    assert got == 20_000_000

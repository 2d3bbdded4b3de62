"""Logs, read from their end and followed through supervisord's own rotation."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.runtime.conftest import make_program, text, until
from vidops.resources.layout import Layout
from vidops.runtime.logtail import follow, log_tail
from vidops.runtime.supervisor import Supervisor


async def take(lines: AsyncGenerator[str, None], count: int) -> list[str]:
    return [await asyncio.wait_for(anext(lines), 10) for _ in range(count)]


def test_the_end_of_a_log_reaches_into_the_rotated_one(layout: Layout) -> None:
    log = Path(layout.log_file("hub"))
    assert log_tail(layout, "hub") == []
    Path(f"{log}.1").write_text("1\n2\n3\n")
    log.write_bytes(b"4\n\xff broken\nunfinished")
    assert log_tail(layout, "hub") == ["1", "2", "3", "4", "\N{REPLACEMENT CHARACTER} broken", "unfinished"]
    assert log_tail(layout, "hub", 2) == ["\N{REPLACEMENT CHARACTER} broken", "unfinished"]
    assert log_tail(layout, "hub", 0) == []
    # Bounded in bytes, whole lines only.
    assert log_tail(layout, "hub", limit=14) == ["unfinished"]


async def test_following_through_truncation_and_long_lines(layout: Layout) -> None:
    log = Path(layout.log_file("hub"))
    async with contextlib.aclosing(follow(layout, "hub")) as lines:
        waiting = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)
        log.write_text("first\nhal")
        assert await asyncio.wait_for(waiting, 10) == "first"
        with log.open("a") as file:
            file.write("f\n" + "x" * 200_000 + "\nend\n")
        assert (await take(lines, 1)) == ["half"]
        pieces: list[str] = []
        while "end" not in pieces:
            pieces += await take(lines, 1)
        assert "".join(pieces) == "x" * 200_000 + "end"
        log.write_text("anew\n")
        assert await take(lines, 1) == ["anew"]


@pytest.mark.integration
async def test_no_line_is_lost_when_supervisord_rotates(supervisor: Supervisor) -> None:
    # A megabyte and a half, in bursts that a reader must keep up with.
    script = "for a in $(seq 15); do for b in $(seq 1000); do echo $a-$b $PAD; done; sleep 0.05; done; exec sleep 1000"
    await make_program(supervisor, "hub", "sh", "-c", f"PAD={'p' * 90}; {script}")
    layout = supervisor.layout
    async with contextlib.aclosing(follow(layout, "hub")) as lines:
        waiting = asyncio.ensure_future(anext(lines))
        await supervisor.start("hub")
        got = [await asyncio.wait_for(waiting, 10), *await take(lines, 14_999)]
    assert [line.split()[0] for line in got] == [f"{a}-{b}" for a in range(1, 16) for b in range(1, 1001)]
    await until(lambda: os.path.exists(f"{layout.log_file('hub')}.1"), "it was rotated")
    assert len(text(layout.log_file("hub"))) < 1024 * 1024
    assert [line.split()[0] for line in log_tail(layout, "hub", 2)] == ["15-999", "15-1000"]

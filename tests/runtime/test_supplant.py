"""A program that another one follows, both running for a while, under a real supervisord."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.conftest import make_program, text, until
from vidops.planning.render import LOG_BYTES
from vidops.runtime.procfs import environment
from vidops.runtime.supervisor import Supervisor

pytestmark = pytest.mark.integration


async def test_a_program_is_supplanted_by_another_that_starts_beside_it(supervisor: Supervisor) -> None:
    await make_program(supervisor, "gateway.web", "sleep", "1000", fingerprint="old")
    await supervisor.start("gateway.web")
    old = await supervisor.state("gateway.web")
    await make_program(supervisor, "gateway.web", "sleep", "2000", fingerprint="new")
    await supervisor.supplant("gateway.web")
    new = await supervisor.state("gateway.web")
    assert new.running
    assert new.pid != old.pid
    assert os.path.exists(f"/proc/{old.pid}")
    assert [s.pid for s in (await supervisor.inventory()).values()] == [new.pid]
    await until(lambda: environment(new.pid).get("VIDOPS_FINGERPRINT") == "new", "the shim has become the program")

    await supervisor.dismiss("gateway.web")
    await until(lambda: not os.path.exists(f"/proc/{old.pid}"), "the old one is gone")
    await supervisor.dismiss("gateway.web")
    assert (await supervisor.state("gateway.web")).pid == new.pid


async def test_both_write_one_log_and_nothing_is_lost(supervisor: Supervisor, tmp_path: Path) -> None:
    """Together more than a file holds, and less than two."""
    lines, go = 3 * LOG_BYTES // 4 // 100, tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    tell = f"for _ in range({lines}): print(WHO * 99, flush=True)\ntime.sleep(1000)"
    await make_program(supervisor, "gateway.web", sys.executable, "-c", f"WHO = 'o'\n{wait}{tell}")
    await supervisor.start("gateway.web")
    await make_program(supervisor, "gateway.web", sys.executable, "-c", f"WHO = 'n'\n{wait}{tell}")
    await supervisor.supplant("gateway.web")
    go.touch()
    log = supervisor.layout.log_file("gateway.web")

    def written() -> dict[str, int]:
        both = text(log) + text(f"{log}.1")
        return {who: both.count(who) for who in "on"}

    await until(lambda: written() == dict.fromkeys("on", 99 * lines), "all that both said")


async def test_one_that_is_down_is_supplanted_by_a_plain_start(supervisor: Supervisor) -> None:
    await make_program(supervisor, "gateway.web", "sleep", "1000")
    await supervisor.supplant("gateway.web")
    first = await supervisor.state("gateway.web")
    assert first.running
    await supervisor.stop("gateway.web")
    await supervisor.supplant("gateway.web")
    assert (await supervisor.state("gateway.web")).pid not in (0, first.pid)


async def test_a_successor_that_cannot_start_leaves_the_one_before(supervisor: Supervisor) -> None:
    await make_program(supervisor, "gateway.web", "sleep", "1000")
    await supervisor.start("gateway.web")
    old = await supervisor.state("gateway.web")
    await make_program(supervisor, "gateway.web", "/nonexistent/program")
    await supervisor.supplant("gateway.web")
    deadline = time.monotonic() + 10
    while not (await supervisor.state("gateway.web")).stopped:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert os.path.exists(f"/proc/{old.pid}")
    await make_program(supervisor, "gateway.web", "sleep", "3000")
    await supervisor.start("gateway.web")
    assert (await supervisor.state("gateway.web")).running
    assert os.path.exists(f"/proc/{old.pid}")
    await supervisor.dismiss("gateway.web")
    await until(lambda: not os.path.exists(f"/proc/{old.pid}"), "the old one is gone")

"""A short runtime directory with a real supervisord's life around each test, and ways to wait for conditions."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from vidops.resources.layout import Layout
from vidops.resources.specs import Program
from vidops.runtime import daemon
from vidops.runtime.locks import make_tree
from vidops.runtime.programs import write_program
from vidops.runtime.supervisor import Supervisor


@pytest.fixture
def layout() -> Iterator[Layout]:
    """Made below /tmp: a unix socket's path is short."""
    root = tempfile.mkdtemp(prefix="vo", dir="/tmp")
    made = Layout(run_dir=f"{root}/run", state_dir=f"{root}/state", data_dir=f"{root}/data")
    make_tree(made)
    yield made
    # Also what a failed test has left.
    daemon.sweep(made, 0)
    shutil.rmtree(root)


@pytest.fixture
async def supervisor(layout: Layout) -> AsyncIterator[Supervisor]:
    """Running. Everything it runs is gone after the test."""
    it = Supervisor(layout)
    await it.ensure_running()
    yield it
    await daemon.shutdown(layout)


async def make_program(supervisor: Supervisor, name: str, *argv: str, fingerprint: str = "f", stop: float = 5) -> None:
    write_program(supervisor.layout, name, Program(argv=argv, stop_timeout=stop), fingerprint)
    await supervisor.ensure([name])


async def until(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    """Wait for a condition; fail with what it was."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout:g}s: {what}")
        await asyncio.sleep(0.01)


def text(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.exists() else ""

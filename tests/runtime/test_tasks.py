from __future__ import annotations

import asyncio

import pytest

from vidops.runtime.tasks import Tasks


async def test_what_a_task_raises_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise RuntimeError("out of luck")

    tasks = Tasks()
    task = tasks.start(work(), "a hard job")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "a hard job failed" in caplog.text
    assert "out of luck" in caplog.text


async def test_close_ends_what_runs_and_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append(1)

    tasks = Tasks()
    for n in range(3):
        tasks.start(work(), f"job {n}")
    await asyncio.sleep(0)
    await tasks.close()
    assert len(ended) == 3
    assert caplog.text == ""

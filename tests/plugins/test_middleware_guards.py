"""`host_guard` and `filesystem_guard`: when new requests are refused, in which order, and when not any more."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.gateway.client import get
from tests.gateway.world import World, route
from vidops_plugins.middleware import filesystem_guard, host_guard
from vidops_plugins.middleware.host_guard import CALM, ESCALATE, HostGuard, Judge, Times, look


def guard(**options: Any) -> Judge:
    return Judge(HostGuard.model_validate(options))


def test_this_hosts_figures_make_sense() -> None:
    times = Times()
    look(times, [])
    began = time.process_time()
    while time.process_time() - began < 0.2:
        pass
    figures = look(times, ["/", "/nonexistent"])
    st = os.statvfs("/")
    assert figures["max_disk"] == pytest.approx(1 - st.f_bavail / (st.f_blocks - st.f_bfree + st.f_bavail), abs=0.01)
    assert 0 < figures["max_cpu"] <= 1
    assert 0 < figures["max_memory"] < 1
    assert figures["max_load"] >= 0
    assert figures["max_processes"] >= 2
    assert 0 < figures.get("max_temperature", 20) < 150


def test_it_refuses_from_the_limit_on_until_it_is_calm() -> None:
    judge = guard(max_cpu="80%")
    assert judge.refuses({"max_cpu": 0.8}, 0) == ""
    assert judge.refuses({"max_cpu": 0.81}, 1) == "cpu is 81%"
    # Just below the limit is not calm yet.
    assert judge.refuses({"max_cpu": 0.79}, 2) != ""
    assert judge.refuses({"max_cpu": 0.8 * CALM}, 3) == ""
    assert judge.refuses({"max_cpu": 0.79}, 4) == ""


def test_a_disk_that_is_nearly_full() -> None:
    judge = guard(max_disk="90%")
    assert judge.refuses({"max_disk": 0.9}, 0) == ""
    assert judge.refuses({"max_disk": 0.95}, 1) == "disk is 95%"


def test_the_least_important_go_first() -> None:
    judges = [guard(max_load=2, order=order) for order in range(3)]
    refusing = []
    for second in range(12):
        refusing.append([bool(judge.refuses({"max_load": 3.0}, second)) for judge in judges])
    assert refusing[0] == [True, False, False]
    assert refusing[int(ESCALATE)] == [True, True, False]
    assert refusing[int(2 * ESCALATE)] == [True, True, True]
    assert [judge.refuses({"max_load": 1.0}, 20) for judge in judges] == ["", "", ""]


def test_a_sensor_that_is_not_there_refuses_nothing() -> None:
    assert guard(max_temperature=60).refuses({"max_cpu": 1.0}, 0) == ""


@given(st.lists(st.floats(0, 1), max_size=50), st.integers(0, 3))
def test_what_is_below_every_limit_is_served(figures: list[float], order: int) -> None:
    judge = guard(max_cpu="100%", max_memory="100%", order=order)
    for second, figure in enumerate(figures):
        assert judge.refuses({"max_cpu": figure, "max_memory": figure}, second) == ""


@pytest.mark.parametrize(
    "options",
    [{}, {"order": 1}, {"max_cpu": 95}, {"max_cpu": "0%"}, {"max_cpu": "101%"}, {"max_cpu": "many"}, {"max_load": 0}],
)
def test_what_is_no_guard(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HostGuard.model_validate(options)


async def test_a_route_is_refused_while_the_host_has_too_much_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"max_processes": 5.0}
    monkeypatch.setattr(host_guard, "look", lambda *_: dict(figures))
    monkeypatch.setattr(host_guard, "LOOK_EVERY", 0.01)
    link = {"type": "host_guard", "options": {"max_processes": 10, "retry_after": "7s"}}
    await world.start([route("/guarded", "respond", chain=[link]), route("/", "respond")])
    assert (await get(world.port, "/guarded")).status == 200
    figures["max_processes"] = 11.0
    answers = []

    async def refused() -> bool:
        answers.append(await get(world.port, "/guarded"))
        return answers[-1].status == 503

    async with asyncio.timeout(5):
        while not await refused():
            await asyncio.sleep(0.01)
    problem = answers[-1]
    assert (problem.headers["retry-after"], problem.json()["reason"]) == ("7", "Overloaded")
    assert "processes is 11" in problem.json()["detail"]
    assert (await get(world.port, "/")).status == 200
    figures["max_processes"] = 2.0
    async with asyncio.timeout(5):
        while await refused():
            await asyncio.sleep(0.01)


def fs_link(path: Path, **options: Any) -> dict[str, Any]:
    return {"type": "filesystem_guard", "options": {"path": str(path), **options}}


async def test_writes_are_refused_without_room_and_reads_and_deletes_are_not(world: World, tmp_path: Path) -> None:
    full = fs_link(tmp_path, min_free=f"{1 << 60}B")
    await world.start([route("/full", "echo", chain=[full]), route("/ok", "echo", chain=[fs_link(tmp_path)])])
    answer = await get(world.port, "/full", method="POST", body=b"x")
    assert (answer.status, answer.json()["reason"]) == (507, "NoRoom")
    assert "bytes left" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "30"
    assert (await get(world.port, "/full")).status == 200
    assert (await get(world.port, "/full", method="DELETE")).status == 200
    assert (await get(world.port, "/ok", method="POST", body=b"x")).status == 200


async def test_a_disk_that_is_away_read_only_or_hanging(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem_guard, "LOOK_EVERY", 0.05)
    await world.start([route("/", "echo", chain=[fs_link(tmp_path / "gone")])])
    answer = await get(world.port, "/", method="PUT", body=b"x")
    assert (answer.status, answer.json()["detail"]) == (507, "nothing can be stored now: No such file or directory")
    (tmp_path / "gone").mkdir()
    real = os.statvfs(tmp_path)

    async def becomes(status: int, says: str = "") -> None:
        async with asyncio.timeout(5):
            while True:
                answer = await get(world.port, "/", method="PUT", body=b"x")
                if answer.status == status and says.encode() in answer.body:
                    return
                await asyncio.sleep(0.01)

    await becomes(200)
    fields = list(real)
    fields[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    await becomes(507, "read-only")
    hung = threading.Event()
    monkeypatch.setattr(os, "statvfs", lambda _: hung.wait() and real)
    await becomes(507, "does not answer")
    hung.set()
    await becomes(200)

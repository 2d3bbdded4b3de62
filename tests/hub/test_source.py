"""What decides and acts, against a supervisord that is away, late or wrong."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.conftest import Inside, until_true
from vidops.errors import PermanentError, TemporaryError
from vidops.ports import ProcessEvent


async def test_a_supervisord_that_is_away_is_waited_for(inside: Inside) -> None:
    await inside.camera()
    inside.processes.away = True
    subscription = inside.client.subscribe("door", lambda _: None)
    await until_true(lambda: inside.state()["reason"] == "SupervisorDown", "it says so")
    assert inside.state()["state"] == "Starting"
    inside.processes.back()
    await inside.until_state("Online")
    assert inside.state()["restarts"] == 0
    subscription.close()


async def test_a_source_of_which_nothing_is_known_is_stopped_before_it_is_started(inside: Inside) -> None:
    inside.processes.left_over.add("source.door")
    await inside.camera(on_demand=None)
    await inside.until_state("Online")
    assert inside.processes.calls.index("stop source.door") < inside.processes.calls.index("start source.door")


async def test_a_program_that_supervisord_does_not_know_is_said(inside: Inside) -> None:
    inside.processes.known = False
    await inside.camera(on_demand=None)
    await inside.until_state("Failed")
    assert inside.state()["reason"] == "BadProgram"
    assert "no file of it" in inside.state()["message"]


async def test_an_event_of_the_run_before_disturbs_nothing(inside: Inside) -> None:
    await inside.camera(on_demand=None)
    await inside.until_state("Online")
    for _ in range(20):
        for queue in inside.processes.listeners:
            queue.put_nowait(ProcessEvent("source.door", "EXITED"))
    sequence = inside.state()["frames"]
    await until_true(lambda: inside.state()["frames"] > sequence + 5, "frames go on")
    assert inside.processes.starts == 1


async def test_an_end_that_the_connection_did_not_tell_is_noticed(inside: Inside) -> None:
    # It ended before it connected: there is no connection to end.
    inside.processes.fails = True
    await inside.camera(on_demand=None, start_timeout=60)
    await inside.until_state("Failed")
    assert inside.state()["message"].startswith("its process ended")
    assert inside.processes.starts > 1


async def test_demand_that_comes_and_goes_starts_one_source(inside: Inside) -> None:
    await inside.camera()
    for _ in range(30):
        subscription = inside.client.subscribe("door", lambda _: None)
        await asyncio.sleep(0)
        subscription.close()
    frame = await inside.client.snapshot("door")
    assert frame.data
    assert inside.processes.starts == 1
    await until_true(lambda: not inside.hub.cameras["door"].consumers, "no connection is left over")


async def test_applies_and_removals_at_once_end_as_the_last_one_says(inside: Inside) -> None:
    await asyncio.gather(*(inside.camera("door", fingerprint=str(n), on_demand=None) for n in range(10)))
    await inside.until_state("Online")
    async with asyncio.TaskGroup() as group:
        for n in range(10):
            group.create_task(inside.client.remove("door"))
            group.create_task(inside.camera("door", fingerprint=f"x{n}", on_demand=None))
    await inside.camera("door", fingerprint="last", on_demand=None)
    await inside.until_state("Online")
    assert inside.state()["fingerprint"] == "last"
    await inside.client.remove("door")
    assert [p for p, task in inside.processes.running.items() if not task.done()] == []


async def test_bad_words_change_nothing(inside: Inside) -> None:
    await inside.camera(on_demand=None)
    await inside.until_state("Online")
    with pytest.raises(PermanentError, match="start_timeout"):
        await inside.camera(start_timeout=-1)
    assert inside.state()["state"] == "Online"


async def test_a_source_that_does_not_end_is_said_and_its_name_is_not_used_again(inside: Inside) -> None:
    await inside.camera(on_demand=None)
    await inside.until_state("Online")
    inside.processes.holds = True
    for call in (inside.client.remove("door"), inside.camera(on_demand=None), inside.client.remove("door")):
        with pytest.raises(TemporaryError, match="still stopping") as caught:
            await call
        assert caught.value.reason == "Stopping"
    assert inside.processes.starts == 1
    inside.processes.holds = False
    await inside.camera(on_demand=None)
    await inside.until_state("Online")
    assert inside.processes.starts == 2


async def test_a_stop_of_the_hub_does_not_wait_for_supervisord(inside: Inside) -> None:
    await inside.camera(on_demand=None)
    await inside.until_state("Online")
    inside.processes.away = True

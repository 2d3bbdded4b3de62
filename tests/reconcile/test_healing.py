"""The healer against fake processes and a fake clock: when it starts what again, and when it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.reconcile.world import make_host
from vidops.ports import ProcessEvent
from vidops.reconcile.healing import Healer
from vidops.reconcile.host import Host
from vidops.resources.restart import RestartPolicy
from vidops.testing import FakeClock, FakeProcesses

POLICY = RestartPolicy(base=1.0, jitter=0.0, crash_loop_after=3)


async def settled(check: Callable[[], bool]) -> None:
    """Turn the loop until `check` holds."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        if check():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to rest")


class World:
    def __init__(self, *, refusing: tuple[str, ...] = (), held: Callable[[str], bool] = lambda _: False) -> None:
        self.clock = FakeClock()
        self.processes = FakeProcesses(refusing)
        self.host: Host = make_host(self.clock, self.processes)
        self.healer = Healer(
            self.host,
            lambda _: POLICY,
            held,
            lambda: None,
            dice=lambda: 0.5,
            feeder_of=lambda program: "hub" if program.startswith("capture.") else None,
        )

    async def run(self, program: str) -> None:
        await self.processes.ensure([program])
        await self.processes.start(program)
        self.host.wanted.add(program)
        self.healer.heard(ProcessEvent(program, "RUNNING", 1))

    async def crash(self, program: str) -> None:
        """It ends; the healer hears of it and starts it again."""
        starts = len(self.processes.history)
        self.processes.end(program)
        self.healer.heard(ProcessEvent(program, "EXITED"))
        await settled(lambda: self.healer.patient(program).timer is None)
        assert len(self.processes.history) > starts
        self.healer.heard(ProcessEvent(program, "RUNNING", 1))


async def test_a_row_of_failures_is_backed_off() -> None:
    world = World()
    await world.run("gateway.a")
    waits = []
    for _ in range(4):
        before = world.clock.time
        await world.crash("gateway.a")
        waits.append(world.clock.time - before)
    assert waits == [0.0, 1.0, 2.0, 4.0]
    assert world.healer.patient("gateway.a").restarts == 4
    assert world.healer.patient("gateway.a").backoff.crash_looping(POLICY)


async def test_a_healthy_while_resets_the_backoff() -> None:
    world = World()
    await world.run("gateway.a")
    await world.crash("gateway.a")
    await world.crash("gateway.a")
    world.clock.time += POLICY.healthy_after
    before = world.clock.time
    await world.crash("gateway.a")
    assert world.clock.time == before
    assert world.healer.patient("gateway.a").backoff.failures == 1


async def test_what_is_not_wanted_stays_down() -> None:
    world = World()
    await world.run("capture.a")
    world.host.wanted.discard("capture.a")
    world.processes.end("capture.a")
    world.healer.heard(ProcessEvent("capture.a", "EXITED"))
    await asyncio.sleep(0)
    assert world.processes.history == [("start", "capture.a")]


async def test_wanted_no_more_while_it_waits() -> None:
    world = World()
    await world.run("capture.a")
    await world.crash("capture.a")
    world.processes.end("capture.a")
    world.healer.heard(ProcessEvent("capture.a", "EXITED"))
    world.host.wanted.discard("capture.a")
    await settled(lambda: world.healer.patient("capture.a").timer is None)
    assert [what for what, _ in world.processes.history] == ["start", "start"]


async def test_what_is_held_waits_and_is_not_blamed() -> None:
    held = True
    world = World(held=lambda _: held)
    await world.run("capture.a")
    world.processes.end("capture.a")
    world.healer.heard(ProcessEvent("capture.a", "EXITED"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert [what for what, _ in world.processes.history] == ["start"]
    held = False
    await settled(lambda: world.healer.patient("capture.a").timer is None)
    assert [what for what, _ in world.processes.history] == ["start", "start"]
    assert world.healer.patient("capture.a").backoff.failures == 0


@pytest.mark.parametrize("told", [("hub", "capture.a"), ("capture.a", "hub")])
async def test_a_program_is_not_blamed_for_the_end_of_what_it_reads_from(told: tuple[str, str]) -> None:
    world = World()
    await world.run("hub")
    await world.run("capture.a")
    for _ in range(POLICY.crash_loop_after + 1):
        world.clock.time += 0.5
        for program in told:
            world.processes.end(program)
            world.healer.heard(ProcessEvent(program, "EXITED"))
        await settled(lambda: not world.healer.at_work("hub") and not world.healer.at_work("capture.a"))
        world.clock.time += 0.01
        for program in ("hub", "capture.a"):
            world.healer.heard(ProcessEvent(program, "RUNNING", 1))
    assert world.healer.patient("capture.a").backoff.failures == 0
    # The time between its own ends is counted together, whatever others ended in between.
    await world.crash("capture.a")
    for _ in range(2):
        world.clock.time += POLICY.healthy_after / 2
        world.processes.end("hub")
        world.healer.heard(ProcessEvent("hub", "EXITED"))
        world.processes.end("capture.a")
        world.healer.heard(ProcessEvent("capture.a", "EXITED"))
        await settled(lambda: not world.healer.at_work("hub") and not world.healer.at_work("capture.a"))
        world.clock.time += 0.01
        for program in ("hub", "capture.a"):
            world.healer.heard(ProcessEvent(program, "RUNNING", 1))
    # Its own end, with the hub at work, still counts.
    await world.crash("capture.a")
    assert world.healer.patient("capture.a").backoff.failures == 1


async def test_a_refused_start_is_tried_again_and_told() -> None:
    world = World()
    await world.run("capture.a")
    world.processes.refusing.add("capture.a")
    world.processes.end("capture.a")
    world.healer.heard(ProcessEvent("capture.a", "EXITED"))
    await settled(lambda: world.healer.patient("capture.a").backoff.failures >= 3)
    assert "does not start" in world.healer.patient("capture.a").error
    world.processes.refusing.clear()
    await settled(lambda: world.healer.patient("capture.a").timer is None)
    assert (await world.processes.state("capture.a")).running


async def test_an_end_that_no_event_told_of_is_found() -> None:
    world = World()
    await world.run("capture.a")
    world.processes.end("capture.a")
    await world.healer.check()
    await settled(lambda: world.healer.patient("capture.a").timer is None)
    assert (await world.processes.state("capture.a")).running


async def test_closing_starts_nothing_more() -> None:
    world = World(held=lambda _: True)
    await world.run("capture.a")
    world.processes.end("capture.a")
    world.healer.heard(ProcessEvent("capture.a", "EXITED"))
    await world.healer.close()
    assert [what for what, _ in world.processes.history] == ["start"]

"""Which captures record: by request, by the clock, by the disk's room; and what the driver makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reconcile.world import capture, make_host
from vidops.reconcile.drivers import CaptureDriver
from vidops.reconcile.recorders import SHED_PAUSE, Recorders, Room
from vidops.resources.resource import Resource
from vidops.resources.schedule import Window
from vidops.resources.specs import CaptureSpec
from vidops.testing import FakeClock, FakeProcesses

MIB = 1024 * 1024
FULL, TIGHT, EMPTY = Room(1 * MIB, 1000 * MIB), Room(80 * MIB, 1000 * MIB), Room(900 * MIB, 1000 * MIB)


def spec_of(resource: Resource, **more: object) -> CaptureSpec:
    spec = resource.spec
    assert isinstance(spec, CaptureSpec)
    return spec.model_copy(update=more)


CAPTURES = {
    "dear": spec_of(capture("dear"), priority=5),
    "cheap": spec_of(capture("cheap"), priority=-5),
    "plain": spec_of(capture("plain")),
}


@pytest.fixture
def recorders() -> Recorders:
    return Recorders(FakeClock())


def look(recorders: Recorders, room: Room | None) -> set[str]:
    recorders.see_room(CAPTURES, room)
    recorders.clock.time += SHED_PAUSE  # type: ignore[attr-defined]
    return set(recorders.shed)


def test_the_least_dear_stops_first_and_goes_on_last(recorders: Recorders) -> None:
    assert look(recorders, FULL) == {"cheap"}
    assert look(recorders, FULL) == {"cheap", "plain"}
    # Neither full nor ample: nothing changes; nor where the disk does not answer.
    assert look(recorders, TIGHT) == look(recorders, None) == {"cheap", "plain"}
    assert look(recorders, FULL) == {"cheap", "plain", "dear"}
    assert look(recorders, FULL) == {"cheap", "plain", "dear"}
    assert look(recorders, EMPTY) == {"cheap", "plain"}
    assert look(recorders, EMPTY) == {"cheap"}
    assert look(recorders, EMPTY) == set()


def test_one_at_a_time(recorders: Recorders) -> None:
    recorders.see_room(CAPTURES, FULL)
    assert recorders.see_room(CAPTURES, FULL) == ""
    assert recorders.shed == {"cheap"}


def test_what_is_gone_from_the_file_is_forgotten(recorders: Recorders) -> None:
    recorders.shed = {"cheap", "long-gone"}
    recorders.see_room(CAPTURES, TIGHT)
    assert recorders.shed == {"cheap"}


def test_reasons(recorders: Recorders) -> None:
    asked = spec_of(capture(), on_demand=True)
    never = spec_of(capture(), schedule=(Window(days=()),))

    def reason(spec: CaptureSpec) -> str:
        pause = recorders.pause_of("archive", spec)
        return pause.reason if pause else ""

    assert (reason(spec_of(capture())), reason(asked), reason(never)) == ("", "NotAsked", "OutsideSchedule")
    recorders.asked.add("archive")
    assert reason(asked) == ""
    recorders.shed.add("archive")
    assert reason(asked) == "DiskFull"
    recorders.disk_gone = True
    assert reason(asked) == "DiskGone"


async def test_the_driver_starts_and_stops_level_by_level() -> None:
    clock, processes = FakeClock(), FakeProcesses()
    recorders, host = Recorders(clock), make_host(clock, processes)
    host.pause_of = recorders.pause_of
    driver = CaptureDriver(host)
    resource = replace(capture(), spec=spec_of(capture(), on_demand=True))
    program = resource.ref.program

    await driver.apply(resource)
    await driver.ready(resource)
    assert not (await processes.state(program)).running
    assert recorders.due([resource], host.wanted) == []
    recorders.asked.add("archive")
    assert recorders.due([resource], host.wanted) == [resource]
    for _ in range(2):
        await driver.apply(resource)
        state = await processes.state(program)
        assert state.running
        assert program in host.wanted
    pid = state.pid
    assert recorders.due([resource], host.wanted) == []
    await driver.apply(resource)
    assert (await processes.state(program)).pid == pid
    recorders.asked.clear()
    await driver.apply(resource)
    assert not (await processes.state(program)).running
    # What is not to run is not healed.
    assert program not in host.wanted

"""Plans carried out on a host of fakes: idempotent, minimal, and undone where a gate fails."""

from __future__ import annotations

from typing import cast

from tests.reconcile.world import FakeGateways, FakeHub, MemoryFiles, capture, gateway, hub, make_host, source
from vidops.planning.plan import Action, Applied, plan
from vidops.reconcile.apply import Applier
from vidops.reconcile.drivers import GatewayDriver, drivers
from vidops.resources.resource import Ref, Resource
from vidops.resources.specs import GatewaySpec
from vidops.testing import FakeClock, FakeProcesses


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.processes = FakeProcesses()
        self.hub = FakeHub()
        self.files = MemoryFiles()
        self.gateways = FakeGateways(self.files)
        self.host = make_host(self.clock, self.processes, hub=self.hub, files=self.files, gateway=self.gateways)
        self.applied: dict[Ref, Applied] = {}
        self.noted: list[Action] = []
        self.applier = Applier(drivers(self.host), self.applied, self.noted.append)

    async def take(self, *desired: Resource, before: tuple[Resource, ...] = ()) -> list[str]:
        """Apply `desired` as a transaction; what failed."""
        outcome = await self.applier.transact(plan(desired, self.applied), before)
        return [str(f) for f in outcome.failures]

    @property
    def history(self) -> list[tuple[str, str]]:
        return self.processes.history


async def test_everything_starts_in_order_and_sources_are_the_hubs() -> None:
    world = World()
    assert await world.take(gateway(), capture(), source(), hub()) == []
    assert world.history == [("start", "hub"), ("start", "capture.archive"), ("start", "gateway.main")]
    assert world.hub.cameras["cam"]["program"] == "source.cam"
    assert world.host.wanted == {"hub", "capture.archive", "gateway.main"}
    assert plan((gateway(), capture(), source(), hub()), world.applied).actions == ()


async def test_an_update_replaces_only_what_its_program_says() -> None:
    world = World()
    await world.take(hub(), source(), capture(), gateway())
    world.history.clear()
    assert await world.take(hub(), source(), capture(words="other"), gateway()) == []
    assert world.history == [("stop", "capture.archive"), ("start", "capture.archive")]
    world.history.clear()
    assert await world.take(hub(), source(), capture(words="other", path="%M"), gateway()) == []
    assert world.history == []


async def test_a_gateways_new_routes_are_a_reload() -> None:
    world = World()
    await world.take(hub(), gateway())
    world.history.clear()
    assert await world.take(hub(), gateway(body="other")) == []
    assert world.history == []
    assert world.gateways.reloads == 1


async def test_a_gateway_is_replaced_without_a_pause() -> None:
    world = World()
    await world.take(hub(), gateway())
    world.history.clear()
    assert await world.take(hub(), gateway(words="newer")) == []
    newer = [("supplant", "gateway.main"), ("start", "gateway.main")]
    assert world.history == [*newer, ("dismiss", "gateway.main")]


async def test_a_gateway_that_does_not_come_up_leaves_the_one_before_it() -> None:
    world = World()
    before = (hub(), gateway())
    await world.take(*before)
    world.history.clear()
    world.processes.on_start = lambda program, pid: None
    failures = await world.take(hub(), gateway(words="newer"), before=before)
    assert "does not serve within" in failures[0]
    assert world.history[:3] == [("supplant", "gateway.main"), ("start", "gateway.main"), ("stop", "gateway.main")]
    assert world.processes.supplanted == ["gateway.main"]


async def test_a_gateway_that_takes_its_time_is_not_stopped_for_it() -> None:
    world = World()
    world.processes.on_start = lambda program, pid: None
    outcome = await world.applier.converge(plan((hub(), gateway()), world.applied))
    assert "does not serve within" in str(outcome.failures[0])
    assert world.processes.states["gateway.main"].running


async def test_a_control_plane_that_ended_between_waits_for_the_one_that_takes_over() -> None:
    """The old process answers still: it must neither be given the new file, nor leave before the new one serves."""
    world = World()
    await world.take(hub(), gateway())
    newer = gateway(words="newer")
    taken = world.gateways.started
    world.gateways.started = lambda program, pid: None  # type: ignore[method-assign]
    driver = world.applier.drivers["gateway"]
    assert await cast(GatewayDriver, driver).run("gateway.main", cast(GatewaySpec, newer.spec).program)
    pid = (await world.processes.state("gateway.main")).pid
    reloads, polls = world.gateways.reloads, 0
    sleep = world.clock.sleep

    async def pause(seconds: float) -> None:
        nonlocal polls
        polls += 1
        if polls == 3:
            assert world.processes.supplanted == ["gateway.main"]
            taken("gateway.main", pid)
        await sleep(seconds)

    world.clock.sleep = pause  # type: ignore[method-assign]
    await driver.apply(newer)
    assert polls == 3
    assert world.gateways.reloads == reloads
    assert world.processes.supplanted == []


async def test_a_gateway_is_deleted_with_what_it_supplanted() -> None:
    world = World()
    await world.take(hub(), gateway())
    await world.processes.supplant("gateway.main")
    await world.take(hub())
    assert world.processes.supplanted == []


async def test_workers_come_after_the_first_that_opens_what_they_listen_on() -> None:
    world = World()
    first = gateway()
    others = [Resource(Ref("gateway", f"main.{n}"), first.spec, (hub().ref, first.ref)) for n in (2, 3)]
    steps = plan([hub(), *others, first], {})
    assert [[a.ref.name for a in batch] for batch in steps.batches()] == [["hub"], ["main"], ["main.2", "main.3"]]
    assert await world.applier.restore([*others, first]) == []
    started = [program for verb, program in world.history if verb == "start"]
    assert started == ["gateway.main", "gateway.main.2", "gateway.main.3"]


async def test_deletions_release_what_they_held() -> None:
    world = World()
    await world.take(hub(), source(), capture(), gateway())
    assert await world.take(hub()) == []
    assert world.hub.cameras == {}
    assert set(world.processes.states) == {"hub"}
    assert world.files.content == {}


async def test_a_camera_that_fails_takes_everything_back() -> None:
    world = World()
    before = (hub(), source(), capture())
    await world.take(*before)
    world.history.clear()
    world.hub.failing["bad"] = "/dev/video9: no such device"
    desired = (hub(), source(), capture(words="other"), source("bad"), capture("bad-archive", "bad"))
    failures = await world.take(*desired, before=before)
    assert failures[0].startswith("source/bad: Failed: /dev/video9: no such device")
    assert set(world.applied) == {r.ref for r in before}
    assert "bad" not in world.hub.cameras
    assert plan(before, world.applied).actions == ()
    assert (await world.processes.state("capture.archive")).running


async def test_a_gateway_that_refuses_takes_everything_back() -> None:
    world = World()
    before = (hub(), gateway())
    await world.take(*before)
    bad = gateway(body="bad")
    world.gateways.refusing.add(bad.fingerprint)
    failures = await world.take(hub(), bad, before=before)
    assert failures == ["gateway/main: BadRoute: a route cannot be built"]
    assert world.gateways.serving["main"] == gateway().fingerprint
    assert plan(before, world.applied).actions == ()


async def test_a_recorder_that_records_nothing_fails_its_gate() -> None:
    world = World()
    world.host.grown = lambda _: 0
    failures = await world.take(hub(), source(), capture())
    assert failures == ["capture/archive: NotRecording: nothing was recorded within 15s"]


async def test_converging_does_what_it_can() -> None:
    world = World()
    world.processes.refusing.add("capture.archive")
    outcome = await world.applier.converge(plan((hub(), source(), capture(), gateway()), world.applied))
    assert [str(f.ref) for f in outcome.failures] == ["capture/archive"]
    assert outcome.failures[0].temporary
    assert (await world.processes.state("gateway.main")).running
    world.processes.refusing.clear()
    outcome = await world.applier.converge(plan((hub(), source(), capture(), gateway()), world.applied))
    assert outcome.failures == []


async def test_restoring_starts_what_is_down_and_touches_nothing_else() -> None:
    world = World()
    resources = (hub(), source(), capture(), gateway())
    await world.take(*resources)
    world.history.clear()
    assert await world.applier.restore(resources) == []
    assert world.history == []
    world.processes.end("capture.archive")
    assert await world.applier.restore(resources) == []
    assert world.history == [("start", "capture.archive")]


async def test_one_that_is_removed_has_its_own_time_to_end() -> None:
    world = World()
    await world.take(hub(), gateway())
    stopped: list[tuple[str, float]] = []
    stop = world.processes.stop

    async def noted(program: str, timeout: float = 10.0) -> None:
        stopped.append((program, timeout))
        await stop(program, timeout)

    world.processes.stop = noted  # type: ignore[method-assign]
    await world.take(hub())
    assert stopped == [("gateway.main", cast(GatewaySpec, gateway().spec).program.stop_timeout)]

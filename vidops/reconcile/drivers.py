"""Drivers: how a resource of each kind is made real, level by level rather than edge by edge.

`apply` compares what is with what should be and does only what is missing, so it serves creation, update, and
putting things back after a crash or a reboot alike. What an update costs follows from the spec's impacts: a
process is replaced only where its program differs.
"""

from __future__ import annotations

import contextlib
import json
from typing import Protocol, cast

from vidops.errors import PermanentError, TemporaryError
from vidops.planning.plan import Applied
from vidops.reconcile.host import Host, until
from vidops.resources.resource import JSON, Resource, fingerprint
from vidops.resources.specs import CaptureSpec, GatewaySpec, HookSpec, HubSpec, LoopbackSpec, Program, SourceSpec

HUB_START_TIMEOUT = 15.0
SETTLE = 1.0
"""Seconds that a loopback node has to run to count as started."""


class Driver(Protocol):
    """One kind's way to the host. Every method raises `TemporaryError` or `PermanentError` with the reason."""

    async def apply(self, resource: Resource) -> None:
        """Make it so; returns when it is in place (a gateway serves, a process runs)."""

    async def delete(self, applied: Applied) -> None:
        """Undo it; returns when what it held is released."""

    async def ready(self, resource: Resource) -> None:
        """The health gate: returns when it does its work, raises with what it says where it does not in time."""


class ProgramDriver:
    """A process of its own: captures, loopback nodes; base of hub and gateways."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def apply(self, resource: Resource) -> None:
        spec = cast(CaptureSpec | LoopbackSpec | HubSpec | GatewaySpec, resource.spec)
        await self.run(resource.ref.program, spec.program)

    async def run(self, name: str, program: Program) -> bool:
        """Have `program` running, replacing a process started from other words. Returns whether it was started."""
        host = self.host
        mark = program_fingerprint(program)
        host.programs.write(name, program, mark)
        state = await host.state_of(name)
        if state is not None and state.running:
            if host.running_fingerprint(state.pid) == mark:
                host.wanted.add(name)
                return False
            await self.replace(name, program)
            return True
        await host.processes.ensure([name])
        host.wanted.add(name)
        await host.processes.start(name)
        return True

    async def replace(self, name: str, program: Program) -> None:
        """Start a running program anew, once what it held is released."""
        host = self.host
        host.wanted.discard(name)
        await host.processes.stop(name, program.stop_timeout)
        await host.processes.ensure([name])
        host.wanted.add(name)
        await host.processes.start(name)

    async def delete(self, applied: Applied) -> None:
        name = applied.ref.program
        self.host.wanted.discard(name)
        # A stray that nobody noted has no spec.
        timeout = (applied.data.get("program") or {}).get("stop_timeout")
        if timeout is not None:
            await self.host.processes.stop(name, float(timeout))
        await self.host.processes.forget([name])
        self.host.programs.remove(name)

    async def ready(self, resource: Resource) -> None:
        """Fails where it ends at once."""

        async def ended() -> bool:
            state = await self.host.state_of(resource.ref.program)
            if state is not None and state.stopped:
                said = await self.host.farewell(resource.ref.program, state.exit_status)
                raise TemporaryError(said, reason="Exited")
            return False

        await until(self.host.clock, SETTLE, ended)


class CaptureDriver(ProgramDriver):
    """A recorder. Ready when its spool has grown, or when it is not to record now."""

    async def apply(self, resource: Resource) -> None:
        spec, program = cast(CaptureSpec, resource.spec), resource.ref.program
        host = self.host
        if host.pause_of(resource.ref.name, spec) is None:
            await super().apply(resource)
            return
        host.programs.write(program, spec.program, program_fingerprint(spec.program))
        await host.processes.ensure([program])
        host.wanted.discard(program)
        await host.processes.stop(program, spec.program.stop_timeout)

    async def ready(self, resource: Resource) -> None:
        spec = cast(CaptureSpec, resource.spec)
        host = self.host
        if host.pause_of(resource.ref.name, spec) is not None:
            return
        if spec.sparse:
            await super().ready(resource)
            return
        if host.cameras().get(spec.camera, {}).get("reason") in NO_PROGRAM:
            return
        before = host.grown(spec.spool)

        async def growing() -> bool:
            state = await host.state_of(resource.ref.program)
            if state is not None and state.stopped:
                said = await host.farewell(resource.ref.program, state.exit_status)
                raise TemporaryError(f"the recorder {said}", reason="Exited")
            return host.grown(spec.spool) > before

        if not await until(host.clock, spec.stall_timeout, growing):
            raise TemporaryError(f"nothing was recorded within {spec.stall_timeout:g}s", reason="NotRecording")


NO_PROGRAM = ("DeviceMissing", "DeviceTaken", "ModeUnsupported")
"""Reasons of cameras that have nothing to start."""


class HubDriver(ProgramDriver):
    """The hub. In place when its socket answers."""

    async def apply(self, resource: Resource) -> None:
        await super().apply(resource)

        async def answers() -> bool:
            try:
                await self.host.hub.status()
            except TemporaryError:
                return False
            return True

        if not await until(self.host.clock, HUB_START_TIMEOUT, answers):
            raise TemporaryError(f"the hub does not answer within {HUB_START_TIMEOUT:g}s", reason="NotReady")


class SourceDriver:
    """A camera. The hub starts and stops its program; here is written what the hub is to start."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def apply(self, resource: Resource) -> None:
        spec = cast(SourceSpec, resource.spec)
        host, name = self.host, resource.ref.program
        if spec.program is not None:
            host.programs.write(name, spec.program, program_fingerprint(spec.program))
            await host.processes.ensure([name])
        camera = camera_json(spec, name)
        host.files.write(host.layout.camera_file(spec.camera), json.dumps(camera, indent=1, sort_keys=True))
        await host.hub.apply(camera)
        if spec.program is None:
            await self._drop_program(name)

    async def delete(self, applied: Applied) -> None:
        host, camera = self.host, str(applied.data["camera"])
        host.files.remove(host.layout.camera_file(camera))
        await host.hub.remove(camera)
        await self._drop_program(applied.ref.program)

    async def ready(self, resource: Resource) -> None:
        spec = cast(SourceSpec, resource.spec)
        if spec.program is None:
            return

        # A camera on demand is opened for this: that it can be is what the gate is about.
        await self.host.probe(spec.camera, spec.start_timeout + 1)

    async def _drop_program(self, name: str) -> None:
        await self.host.processes.forget([name])
        self.host.programs.remove(name)


class GatewayDriver(ProgramDriver):
    """A gateway. A new spec is taken over by the running process as its next generation; where the process itself has
    to be another, the new one takes the sockets over before the old one leaves."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._supplanting: set[str] = set()
        """Programs whose process before goes on until this one serves."""

    async def apply(self, resource: Resource) -> None:
        spec = cast(GatewaySpec, resource.spec)
        host, name, program = self.host, resource.ref.name, resource.ref.program
        document = {**resource.data, "fingerprint": resource.fingerprint, "name": name}
        text = json.dumps(document, indent=1, sort_keys=True)
        host.files.write(host.layout.gateway_file(name), text)
        started = await self.run(program, spec.program)
        if not started:
            # One that does not answer is coming up, and reads the new file as it does.
            with contextlib.suppress(TemporaryError):
                if await self._take_over(resource):
                    await self._dismiss(program)
                    return
        try:
            await self._serving(resource)
        except TemporaryError:
            # One that only takes its time may come up yet; but not in the place of one that serves.
            if program in self._supplanting:
                # When it is tried again is decided where it was asked for.
                host.wanted.discard(program)
                await host.processes.stop(program, spec.program.stop_timeout)
                try:
                    await host.gateway(name, {"op": "status"})
                except TemporaryError:
                    await self._dismiss(program)
            raise
        await self._dismiss(program)

    async def replace(self, name: str, program: Program) -> None:
        if name in self._supplanting:
            # It is not there yet itself: two that come up at once would be in each other's way.
            await super().replace(name, program)
            return
        self.host.wanted.add(name)
        self._supplanting.add(name)
        await self.host.processes.supplant(name)

    async def _dismiss(self, program: str) -> None:
        self._supplanting.discard(program)
        await self.host.processes.dismiss(program)

    async def _take_over(self, resource: Resource) -> bool:
        """Have the running process serve the new file; raises `PermanentError` with its reason where it does not. False
        where another answers: one that it is to supplant, of which it has not taken over yet."""
        host, name = self.host, resource.ref.name
        answer = await host.gateway(name, {"op": "status"})
        state = await host.state_of(resource.ref.program)
        if state is None or answer.get("pid") != state.pid:
            return False
        if answer.get("fingerprint") == resource.fingerprint:
            return True
        answer = await host.gateway(name, {"op": "reload"})
        if not answer.get("ok"):
            raise PermanentError(str(answer.get("error")), reason=str(answer.get("reason") or "ReloadFailed"))
        return True

    async def _serving(self, resource: Resource) -> None:
        spec = cast(GatewaySpec, resource.spec)
        host = self.host

        async def serves() -> bool:
            state = await host.state_of(resource.ref.program)
            if state is not None and state.stopped:
                said = await host.farewell(resource.ref.program, state.exit_status)
                raise TemporaryError(said, reason="Exited")
            try:
                answer = await host.gateway(resource.ref.name, {"op": "status"})
            except TemporaryError:
                return False
            # Until the new one is there, the one that it supplants answers.
            mine = state is not None and answer.get("pid") == state.pid
            return mine and answer.get("fingerprint") == resource.fingerprint

        if not await until(host.clock, spec.start_timeout, serves):
            raise TemporaryError(f"it does not serve within {spec.start_timeout:g}s", reason="StartTimeout")

    async def delete(self, applied: Applied) -> None:
        # With what it has supplanted, which serves on where a successor did not come up.
        await self.host.processes.dismiss(applied.ref.program)
        await super().delete(applied)
        self.host.files.remove(self.host.layout.gateway_file(applied.ref.name))


class HookDriver:
    """A hook. It lives in this very process."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def apply(self, resource: Resource) -> None:
        self.host.hooks.set(resource.ref.name, cast(HookSpec, resource.spec))

    async def delete(self, applied: Applied) -> None:
        self.host.hooks.remove(applied.ref.name)

    async def ready(self, resource: Resource) -> None:
        """It is, as soon as it is known."""


def drivers(host: Host) -> dict[str, Driver]:
    """One driver a kind."""
    return {
        "hub": HubDriver(host),
        "source": SourceDriver(host),
        "loopback": ProgramDriver(host),
        "capture": CaptureDriver(host),
        "gateway": GatewayDriver(host),
        "upload": ProgramDriver(host),
        "hook": HookDriver(host),
    }


def program_fingerprint(program: Program) -> str:
    """What a running process is compared by."""
    return fingerprint(program.model_dump(mode="json"))


def camera_json(spec: SourceSpec, program: str) -> JSON:
    """What the hub is told of a camera."""
    data = spec.model_dump(mode="json", exclude={"program", "camera"})
    return {
        **data,
        "name": spec.camera,
        "program": program if spec.program is not None else None,
        "fingerprint": program_fingerprint(spec.program) if spec.program is not None else "",
    }

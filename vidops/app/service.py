"""The control plane as one running whole: what `vidops run` is.

It holds the lock, has a supervisord, reconciles, heals, watches files and devices, keeps the footage and serves
the control API. All of it can be killed at any instant; the data plane goes on, and the next start adopts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from vidops.app.adapters import DiskFiles, DiskPrograms, Gateways, last_words, upload_report
from vidops.app.answers import Answers
from vidops.app.captures import CaptureDesk
from vidops.app.footage import Footage
from vidops.app.hooks import EventHooks, tell_of_camera
from vidops.app.settings import Settings
from vidops.control.server import build, serve_control
from vidops.errors import StackError, TemporaryError, VidopsError
from vidops.planning.matching import devices_report
from vidops.planning.show import to_json
from vidops.reconcile.compiler import Compiled, Compiler
from vidops.reconcile.drivers import drivers
from vidops.reconcile.engine import Engine
from vidops.reconcile.host import Host, until
from vidops.reconcile.observer import Observer
from vidops.reconcile.watch import changes
from vidops.resources.conditions import Health, Status
from vidops.resources.layout import Layout
from vidops.resources.resource import Ref
from vidops.resources.specs import GatewaySpec
from vidops.runtime import daemon
from vidops.runtime.clock import SystemClock
from vidops.runtime.devices import HostDevices
from vidops.runtime.hubclient import HubClient
from vidops.runtime.locks import RunLock
from vidops.runtime.notify import notify
from vidops.runtime.plugins import PluginSources, load_catalogue
from vidops.runtime.procfs import running_fingerprint
from vidops.runtime.recordings import RecordingsReader
from vidops.runtime.state import State
from vidops.runtime.supervisor import RESYNC, Supervisor
from vidops.stack.load import read_file

log = logging.getLogger("vidops")

OBSERVE_EVERY = 1.0
CHECK_EVERY = 5.0
"""Seconds between looks for what no event told of."""

Work = Callable[[], Coroutine[Any, Any, None]]


class Service:
    """One control plane. `run()` returns when it was asked to stop; use once."""

    def __init__(self, settings: Settings, stack: str, ready: Callable[[Service], None] = lambda _: None) -> None:
        self.settings = settings
        self.stack = os.path.abspath(stack)
        self.ready = ready
        self.layout = settings.layout()
        self.stopping = asyncio.Event()
        self.asked = self.adopted = self.begun = False
        self.lost = asyncio.Event()
        """supervisord is gone."""
        self.supervisor_pid = 0

    def _assemble(self) -> None:
        sources = PluginSources(
            tuple(os.path.abspath(d) for d in self.settings.plugins_dir), tuple(self.settings.blocked_plugins)
        )
        self.catalogue = catalogue = load_catalogue(sources)
        for plugin in catalogue.broken:
            log.warning("plugin %s is not available: %s", plugin.name, plugin.error)
        clock = SystemClock()
        compiler = Compiler(catalogue, dict(os.environ), self.settings.layout, sources.to_json())
        # Where recordings go may be the stack file's to say; everything else of the layout is the host's.
        with contextlib.suppress(StackError):
            self.layout = compiler.compile_around_broken_plugins(self.stack, read_file).layout
        self.supervisor = Supervisor(self.layout)
        self.hub = HubClient(self.layout)
        self.scanning = HostDevices(catalogue.scanners.values())
        self.hooks = EventHooks(catalogue)
        self.footage = Footage(self._stacks_in_use, self._why_not_recorded, self.hooks.tell)
        self.state = State(self.layout)
        self.host = Host(
            layout=self.layout,
            clock=clock,
            processes=self.supervisor,
            programs=DiskPrograms(self.layout),
            files=DiskFiles(),
            hub=self.hub,
            gateway=Gateways(self.layout),
            cameras=self._cameras,
            running_fingerprint=running_fingerprint,
            grown=self.footage.grown,
            unkept=self.footage.unkept,
            probe=self.hub.snapshot,
            last_words=partial(last_words, self.layout),
            upload_report=partial(upload_report, self.layout),
            hooks=self.hooks,
        )
        self.engine = Engine(
            host=self.host,
            drivers=drivers(self.host),
            ledger=self.state,
            compiler=compiler,
            read=read_file,
            scan=self.scanning.scan,
        )
        self.desk = CaptureDesk(self.engine, self.state, self._data_layout)
        self.turns: list[tuple[Ref, Status, Status]] = []
        self.observer = Observer(
            self.engine,
            lambda pid: self.answers.consumed.get(pid, 0),
            lambda *turn: self.turns.append(turn),
            lambda program: self.answers.serving.get(program, 0),
            lambda program: self.answers.troubles.get(program, ""),
        )
        self.answers = Answers(self.engine, self.hub, self.observer)

    # -- life --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Raises `AlreadyRunningError`, `StackError` (bad file and nothing to fall back on), `PermanentError`."""
        with RunLock.acquire(self.layout, stack=self.stack) as lock:
            await asyncio.to_thread(self._assemble)
            try:
                self.adopted = await self._supervisor_answers()
                self.supervisor_pid = await daemon.ensure_running(self.layout, start=self.settings.supervisor == "own")
                await self.hub.start()
                self.hub.on_change(self.engine.changed.set)
                await self._serve(lock)
            except BaseExceptionGroup as group_error:
                # What ended the first task is what a person wants to read.
                raise _first(group_error) from None
            finally:
                await self.engine.close()
                await self._end()

    async def _serve(self, lock: RunLock) -> None:
        """Until it is asked to end: begin, then go round."""
        async with asyncio.TaskGroup() as group:
            api = group.create_task(
                serve_control(build(self), self.layout.control_socket, self.stopping.wait, lambda: None),
                name="control API",
            )
            early: Sequence[Work] = (self._events, self.footage.run, self._watch_files)
            running = [group.create_task(work(), name=work.__name__) for work in early]
            # Files are watched from before they are read, so that no edit falls in between.
            await asyncio.sleep(0)
            begin = group.create_task(self.engine.begin(self.stack), name="begin")
            asked = group.create_task(self.stopping.wait(), name="asked to end")
            try:
                await asyncio.wait((begin, asked), return_when=asyncio.FIRST_COMPLETED)
                if begin.done() and not begin.cancelled() and begin.exception() is None:
                    self.begun = True
                    lock.update(address=next((address for _, address in self.addresses()), ""))
                    self.ready(self)
                    notify("READY=1")
                    loops: Sequence[Work] = (
                        self.engine.run,
                        self._observe,
                        self._watch_devices,
                        self._check,
                        self.answers.ask,
                        self.answers.await_gateways,
                        self._revive,
                        self.desk.run,
                    )
                    running.extend(group.create_task(work(), name=work.__name__) for work in loops)
                    await asked
            finally:
                self.stopping.set()
            for task in (begin, *running):
                task.cancel()
            await api

    async def _supervisor_answers(self) -> bool:
        """Whether a data plane is there already, from an earlier control plane or a service manager."""
        try:
            await daemon.supervisord_pid(self.layout, timeout=2.0)
        except TemporaryError:
            return False
        return True

    async def _end(self) -> None:
        """Stop the data plane, or leave it to the next control plane.

        A control plane that fails is no reason to stop a stream; one that was asked to end is, and so is one that
        did not get to begin and found nothing running.
        """
        await self.hub.close()
        if self.settings.on_exit == "stop" and (self.asked or not (self.adopted or self.begun)):
            await self._stop_recorders()
            await daemon.shutdown(self.layout)
        # What the recorders finished on their way out is filed before the lights go off.
        await self.footage.close()
        await self.hooks.close()
        await asyncio.to_thread(self.state.close)

    async def _stop_recorders(self) -> None:
        """Recorders end before their cameras, each with a whole last segment."""
        programs = [r.ref.program for r in self.engine.memory.good if r.ref.kind == "capture"]
        self.host.wanted.clear()
        results = await asyncio.gather(*(self.supervisor.stop(p) for p in programs), return_exceptions=True)
        for program, result in zip(programs, results, strict=True):
            if isinstance(result, BaseException):
                log.warning("%s did not stop: %s", program, result)

    def stop(self) -> None:
        """Ask it to end; as a signal handler, too."""
        self.asked = True
        self.stopping.set()

    # -- loops -------------------------------------------------------------------------------------------------

    async def _events(self) -> None:
        async for event in self.supervisor.events():
            if event.state == RESYNC:
                self.lost.set()
                try:
                    await self.observer.resync()
                except TemporaryError:
                    self.observer.states = {}
                continue
            self.observer.heard(event)
            self.engine.healer.heard(event)

    async def _revive(self) -> None:
        """Whenever the event stream broke: make sure that a supervisord runs, and that it runs everything."""
        while True:
            await self.lost.wait()
            self.lost.clear()
            try:
                before = self.supervisor_pid
                self.supervisor_pid = await daemon.ensure_running(self.layout, start=self.settings.supervisor == "own")
                if self.supervisor_pid != before:
                    log.warning("supervisord is new (pid %d): everything is started again", self.supervisor_pid)
                    await self.engine.ask("supervisord is new", restore=True)
                await self.observer.resync()
            except (VidopsError, OSError) as error:
                log.warning("no supervisord: %s", error)
                await asyncio.sleep(1.0)
                self.lost.set()

    async def _observe(self) -> None:
        """Look whenever something may have changed, and every second; what turned is logged and remembered."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OBSERVE_EVERY):
                    await self.engine.changed.wait()
            self.engine.changed.clear()
            self.observer.observe()
            for program in self.observer.stalled():
                # It lives and does nothing: that is an end, too, and heals like one.
                log.warning("%s makes no progress: it is killed", program)
                with contextlib.suppress(VidopsError):
                    await self.supervisor.signal(program, "KILL")
            turns, self.turns = self.turns, []
            for ref, before, after in turns:
                tell_of_camera(self.hooks.tell, ref, before, after)
                was = f"{before.health}/{before.reason} -> " if before.reason else ""
                text = f"{was}{after.health}/{after.reason}: {after.message}".rstrip(": ")
                log.log(logging.INFO if after.health is Health.HEALTHY else logging.WARNING, "%s: %s", ref, text)
                try:
                    await asyncio.to_thread(self.state.event, after.reason, str(ref), text)
                except VidopsError as error:
                    log.warning("an event of %s is not recorded: %s", ref, error)

    async def _watch_files(self) -> None:
        async for _ in changes(self._files, self.stopping):
            self.engine.want("edit", self._path())

    async def _watch_devices(self) -> None:
        async for _ in self.scanning.changes():
            self.engine.want("devices changed")

    async def _check(self) -> None:
        """What no event tells: a missed end, a state that could not be written down."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            with contextlib.suppress(TemporaryError):
                await self.engine.healer.check()
                await self.observer.resync()
            await self.engine.settle()

    # -- what the control API asks (control.server.Control) -----------------------------------------------------

    def report(self) -> Mapping[str, Any]:
        return {
            **self.observer.report(),
            "pid": os.getpid(),
            "data_dir": self._data_layout().data_dir,
            "storage": {"troubles": self.footage.troubles()},
        }

    def devices(self) -> Mapping[str, Any]:
        memory = self.engine.memory
        compiled = memory.compiled
        resources, stack = (compiled.resources, compiled.stack) if compiled else ((), None)
        return devices_report(memory.devices, resources, stack, self.catalogue)

    async def plan(self, path: str) -> Mapping[str, Any]:
        return to_json(await self.engine.preview(path))

    async def apply(self, path: str) -> Mapping[str, Any]:
        outcome = await self.engine.ask("apply", path)
        await self.answers.renew()
        revision = self.engine.memory.revision
        return {"plan": to_json(outcome.plan), "revision": revision.number if revision else 0}

    async def healthy(self, timeout: float) -> bool:
        async def check() -> bool:
            report = self.observer.report()
            return bool(report["sync"] == "Synced" and report["health"] == "Healthy")

        return await until(self.host.clock, timeout, check, pauses=(0.05, 0.1, 0.2))

    async def recordings(self, camera: str, limit: int) -> Sequence[Mapping[str, Any]]:
        return await RecordingsReader(self._data_layout()).list(camera=camera, limit=limit)

    def addresses(self) -> Sequence[tuple[str, str]]:
        """Where people look: each serving gateway's first address."""
        found = []
        for resource in self.engine.memory.good:
            if isinstance(resource.spec, GatewaySpec) and resource.ref in self.engine.memory.applied:
                scheme = "https" if resource.spec.tls else "http"
                host = resource.spec.bind[0]
                for anywhere, here in (("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")):
                    if host.startswith(anywhere):
                        host = here + host.removeprefix(anywhere)
                found.append((resource.ref.name, host if host.startswith("unix:") else f"{scheme}://{host}/"))
        return found

    # -- small things ------------------------------------------------------------------------------------------

    def _cameras(self) -> Mapping[str, Mapping[str, Any]]:
        """What the hub says now; nothing where it does not answer, as old news would pass for new."""
        if not self.hub.connected.is_set():
            return {}
        return {str(state["name"]): state for state in self.hub.states()}

    def _stacks_in_use(self) -> Sequence[Compiled]:
        memory = self.engine.memory
        return [compiled for compiled in (memory.compiled, memory.pending) if compiled is not None]

    def _why_not_recorded(self, capture: str, begin: float, end: float) -> str:
        return self.observer.why(Ref("capture", capture), begin, end)

    def _data_layout(self) -> Layout:
        """Where recordings go now: an edit may move them."""
        compiled = self.engine.memory.compiled
        return compiled.layout if compiled else self.layout

    def _path(self) -> str:
        compiled = self.engine.memory.compiled
        return compiled.path if compiled else self.stack

    def _files(self) -> Sequence[str]:
        compiled = self.engine.memory.compiled
        files = (self._path(), *(compiled.files if compiled else ()), *self.engine.memory.looked_at)
        return tuple(dict.fromkeys(files))


def _first(error: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = error
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found

"""The reconciler: one request at a time, each an iteration of compile → plan → apply → note.

`iterate` is exactly one iteration and is what tests call; `run` is the thin loop around it. Everything that can
want an iteration (an edit, `vidops apply`, a plugged camera, a step to try again) puts a request into one queue,
so nothing is ever applied side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from vidops.errors import Problem, StackError, TemporaryError, VidopsError
from vidops.planning.plan import Action, Applied, Plan, Verb, plan
from vidops.ports import DeviceFacts
from vidops.reconcile.apply import Applier, Failure, Outcome
from vidops.reconcile.compiler import Compiled, Compiler, Read, reader_of
from vidops.reconcile.drivers import Driver
from vidops.reconcile.healing import Healer
from vidops.reconcile.host import Host
from vidops.reconcile.ledger import Ledger, Notes
from vidops.reconcile.recorders import Recorders
from vidops.resources.resource import Ref, Resource, Spec
from vidops.resources.restart import RestartPolicy
from vidops.resources.specs import KINDS, CaptureSpec, LoopbackSpec
from vidops.runtime.state import Revision

log = logging.getLogger("vidops.reconcile")
RETRY_FIRST, RETRY_CAP = 1.0, 30.0
"""Seconds between tries of steps that failed and may work later."""


class ApplyError(VidopsError):
    """An apply that did not come about. `str()` says why, and what is in force now."""


@dataclass(frozen=True)
class Request:
    """Something wants an iteration. `path`: a stack file to take over; empty: the present one, as it was read last.

    `answer` is given what came of it.
    """

    why: str
    path: str = ""
    answer: asyncio.Future[Outcome] | None = None
    restore: bool = False
    """Put everything back instead: what kept it is new."""
    captures: bool = False
    """Start and stop captures instead, as schedules and requests say now."""


@dataclass
class Memory:
    """What the reconciler knows now. `good`: the resources of the last committed revision."""

    applied: dict[Ref, Applied] = field(default_factory=dict)
    compiled: Compiled | None = None
    pending: Compiled | None = None
    """What is being taken over now; it is `compiled` once it is in force."""
    good: tuple[Resource, ...] = ()
    revision: Revision | None = None
    problems: tuple[Problem, ...] = ()
    looked_at: tuple[str, ...] = ()
    """Files of a stack that is not in force for its mistakes: a change of any of them may mend it."""
    failures: dict[Ref, Failure] = field(default_factory=dict)
    rejected: str = ""
    """Why the newest file is not in force, where it compiled and then failed."""
    devices: Sequence[DeviceFacts] = ()
    working: bool = False
    uncommitted: tuple[Compiled, str] | None = None
    """What is in force and could not be committed yet (a full disk, a step that still fails), and why it came."""


class Engine:
    """Brings reality to the file. See the module's text; the host, the ledger and the compiler are its ports."""

    def __init__(
        self,
        *,
        host: Host,
        drivers: dict[str, Driver],
        ledger: Ledger,
        compiler: Compiler,
        read: Read,
        scan: Callable[[], Awaitable[Sequence[DeviceFacts]]],
    ) -> None:
        self.host = host
        self.drivers = drivers
        self.ledger = ledger
        self.compiler = compiler
        self.read = read
        self.scan = scan
        self.memory = Memory()
        self.changed = asyncio.Event()
        """Set whenever status may have changed."""
        self.healer = Healer(host, self._policy_of, self._held, self.changed.set, feeder_of=self._feeder_of)
        self.recorders = Recorders(host.clock)
        host.pause_of = self.recorders.pause_of
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        self._notes = Notes(ledger)
        self._settling = asyncio.Lock()
        self._specs: tuple[Sequence[Resource], dict[str, Spec]] = ((), {})
        self._retry: asyncio.TimerHandle | None = None
        self._retry_pause = RETRY_FIRST
        self.applier = Applier(drivers, self.memory.applied, self._noted)

    # -- the loop --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve requests for ever."""
        while True:
            request = await self.requests.get()
            try:
                outcome = await self.iterate(request)
            except VidopsError as error:
                self._refuse(request, error)
            except Exception as error:
                # A mistake of ours must not end what heals everything else.
                log.exception("%s failed", request.why)
                self._refuse(request, ApplyError(f"{request.why} failed: {type(error).__name__}: {error}"))
            else:
                if request.answer is not None and not request.answer.done():
                    request.answer.set_result(outcome)
            self.changed.set()

    def _refuse(self, request: Request, error: VidopsError) -> None:
        if request.answer is None:
            log.warning("%s: %s", request.why, error)
        elif not request.answer.done():
            request.answer.set_exception(error)

    async def ask(self, why: str, path: str = "", *, restore: bool = False, captures: bool = False) -> Outcome:
        """Put a request and wait for what comes of it."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.requests.put_nowait(Request(why, path, answer, restore, captures))
        return await answer

    def want(self, why: str, path: str = "") -> None:
        self.requests.put_nowait(Request(why, path))

    # -- one iteration ---------------------------------------------------------------------------------------

    async def begin(self, path: str) -> None:
        """The first iteration after a start: adopt what runs, put back what is missing, take over the file.

        What was committed last comes first, so that a file that was refused before is refused again and takes
        nothing down. Raises `StackError` for a bad file where nothing was ever committed.
        """
        memory = self.memory
        memory.applied.update(await asyncio.to_thread(self.ledger.inventory))
        memory.revision = await asyncio.to_thread(self.ledger.last)
        memory.devices = await self.scan()
        kept = await self._kept()
        if kept is None:
            compiled = await self._compile(path, self.read, around=True)
            await self._first(compiled)
            if not compiled.unavailable:
                memory.uncommitted = (compiled, "start")
            await self.settle()
        else:
            await self._first(kept)
            await self._differs(path, kept)
        self.changed.set()

    async def _kept(self) -> Compiled | None:
        """The last committed revision, where there is one that can still be used."""
        revision = self.memory.revision
        if revision is None:
            return None
        try:
            return await self._compile(revision.path, reader_of(revision.texts), around=True)
        except StackError as error:
            log.warning("revision %d can no longer be used: %s", revision.number, error)
            return None

    async def _differs(self, path: str, kept: Compiled) -> None:
        """Take over the file at a start, where it is not what was committed."""
        try:
            now = await self._compile(path, self.read, around=True)
            if (now.path, now.texts) == (kept.path, kept.texts):
                self.memory.compiled = now
                return
            await self._take_over(Request("start", path))
        except StackError as error:
            self.memory.problems, self.memory.looked_at = error.problems, error.files
            self.memory.compiled = replace(kept, path=path)
            log.warning("%s has errors; what was committed last stays in force", path)
        except ApplyError as error:
            log.warning("%s", error)
        finally:
            self.memory.pending = None

    async def _first(self, compiled: Compiled) -> None:
        memory = self.memory
        steps = plan(compiled.resources, memory.applied, compiled.held_back(memory.applied.values()))
        planned = {a.ref for a in steps.actions}
        memory.compiled, memory.good = compiled, compiled.resources
        # Deletions and changes first: what is put back must not meet what is to go.
        strays = await self._strays()
        outcome = await self.applier.converge(Plan((*strays, *steps.actions)))
        kept = [r for r in compiled.resources if r.ref in memory.applied and r.ref not in planned]
        self._remember_failures([*outcome.failures, *await self.applier.restore(kept)], compiled.resources)
        await self.settle()

    async def _strays(self) -> list[Action]:
        """Programs that a control plane started and did not live to note: they go."""
        try:
            programs = await self.host.processes.inventory()
        except TemporaryError:
            return []
        known = {ref.program for ref in self.memory.applied}
        found = [Ref(*program.split(".", 1)) for program in programs if program not in known and "." in program]
        return [
            Action(Verb.DELETE, ref, old=Applied(ref, {"camera": ref.name}, "")) for ref in found if ref.kind in KINDS
        ]

    async def iterate(self, request: Request) -> Outcome:
        """One iteration. Raises `StackError` for a bad file and `ApplyError` where its plan failed; what was in
        force before is then still, or again."""
        memory = self.memory
        memory.working = True
        self.changed.set()
        try:
            if request.restore or request.captures:
                await (self._restore_all() if request.restore else self._turn_captures())
                return Outcome(Plan())
            if request.path:
                return await self._take_over(request)
            return await self._converge()
        finally:
            memory.working, memory.pending = False, None
            self.changed.set()

    async def _take_over(self, request: Request) -> Outcome:
        memory = self.memory
        try:
            compiled = await self._compile(request.path, self.read)
        except StackError as error:
            memory.problems, memory.looked_at = error.problems, error.files
            await self._event("StackRejected", request.path, str(error))
            raise
        memory.problems, memory.looked_at, memory.rejected = (), (), ""
        before, current = memory.good, memory.compiled
        steps = plan(compiled.resources, memory.applied)
        memory.pending = compiled
        self._forget_past(steps)
        outcome = await self.applier.transact(steps, before) if steps else Outcome(steps)
        if outcome.failures:
            said = "; ".join(map(str, outcome.failures))
            if current is not None and current.path == compiled.path:
                memory.looked_at = compiled.files
            memory.rejected = said
            self._remember_failures(outcome.rollback_failures, before)
            await self.settle()
            await self._event("ApplyFailed", request.path, said)
            kept = f"revision {memory.revision.number} is in force again" if memory.revision else "nothing was kept"
            raise ApplyError(f"{request.path} was not applied: {said}; {kept}")
        memory.failures.clear()
        memory.compiled, memory.good = compiled, compiled.resources
        memory.uncommitted = (compiled, request.why)
        await self.settle()
        return outcome

    async def _converge(self) -> Outcome:
        """The same file again: devices came or went, or a step is to be tried once more."""
        memory = self.memory
        if memory.compiled is None:
            return Outcome(Plan())
        memory.devices = await self.scan()
        now = await self._meant_now(memory.compiled)
        memory.compiled, memory.good = now, now.resources
        steps = plan(now.resources, memory.applied, now.held_back(memory.applied.values()))
        self._forget_past(steps)
        outcome = await self.applier.converge(steps)
        again = [r for r in now.resources if r.ref in memory.failures and r.ref in memory.applied]
        self._remember_failures([*outcome.failures, *await self.applier.restore(again)], now.resources)
        await self.settle()
        return outcome

    async def _meant_now(self, compiled: Compiled) -> Compiled:
        """The same text with today's devices; read anew where entries are left out, or one cannot be built any more."""
        if not compiled.unavailable:
            with contextlib.suppress(StackError):
                return await asyncio.to_thread(self.compiler.with_devices, compiled, self.memory.devices)
        return await self._compile(compiled.path, reader_of(compiled.texts), around=True)

    async def _restore_all(self) -> None:
        """Put every applied resource back: supervisord, and with it all that ran, is new."""
        self.host.wanted.clear()
        untouched = {ref: f for ref, f in self.memory.failures.items() if ref not in self.memory.applied}
        failures = await self.applier.restore(r for r in self.memory.good if r.ref in self.memory.applied)
        self._remember_failures([*untouched.values(), *failures], self.memory.good)

    def captures_due(self) -> list[Resource]:
        """Captures in force that record and should not, or should and do not; failed ones are tried again as such."""
        mine = self.memory.applied.keys() - self.memory.failures.keys()
        return [r for r in self.recorders.due(self.memory.good, self.host.wanted) if r.ref in mine]

    async def _turn_captures(self) -> None:
        """Start those that are to record now, stop those that are not any more."""
        if due := self.captures_due():
            for resource in due:
                self.healer.forget(resource.ref.program)
            self.memory.failures.update({f.ref: f for f in await self.applier.restore(due)})
            if self.memory.failures and self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(RETRY_FIRST, self.want, "retry")

    async def preview(self, path: str) -> Plan:
        """What taking over `path` would do now; changes nothing."""
        compiled = await self._compile(path, self.read)
        return plan(compiled.resources, self.memory.applied)

    # -- helpers ---------------------------------------------------------------------------------------------

    async def _compile(self, path: str, read: Read, *, around: bool = False) -> Compiled:
        """`around`: leave out what needs a plugin that did not load, instead of refusing the file."""
        compile_ = self.compiler.compile_around_broken_plugins if around else self.compiler.compile
        return await asyncio.to_thread(compile_, path, read, self.memory.devices)

    async def settle(self) -> None:
        """Write down what is true now: the inventory, and the revision once nothing of it fails.

        What cannot be written (a full disk) is kept and tried again at the next call; the host goes on meanwhile.
        """
        async with self._settling:  # an iteration and the one who looks after missed ends may both want it
            try:
                await asyncio.to_thread(self._notes.write)
                if self.memory.uncommitted is not None and not self.memory.failures:
                    await self._commit(*self.memory.uncommitted)
                    self.memory.uncommitted = None
            except VidopsError as error:
                log.warning("cannot write the state down yet: %s", error)

    async def _commit(self, compiled: Compiled, why: str) -> None:
        last = self.memory.revision
        if last is not None and last.texts == compiled.texts and last.path == compiled.path:
            return
        self.memory.revision = await asyncio.to_thread(self.ledger.commit, compiled.path, compiled.texts, why)
        await self._event("Committed", compiled.path, f"revision {self.memory.revision.number}: {why}")

    async def _event(self, kind: str, subject: str, message: str) -> None:
        """Remember it as far as there is room: what happens is more than its record."""
        try:
            await asyncio.to_thread(self.ledger.event, kind, subject, message)
        except VidopsError as error:
            log.warning("event %s of %s is not recorded: %s", kind, subject, error)

    def _noted(self, action: Action) -> None:
        self._notes.add(action.ref, self.memory.applied.get(action.ref))
        self.memory.failures.pop(action.ref, None)

    def _forget_past(self, steps: Plan) -> None:
        for action in steps.actions:
            self.healer.forget(action.ref.program)

    def _remember_failures(self, failures: Sequence[Failure], desired: Sequence[Resource]) -> None:
        """Keep them for status, and try the temporary ones again after a pause that doubles."""
        wanted = {r.ref for r in desired}
        self.memory.failures.clear()
        self.memory.failures.update({f.ref: f for f in failures if f.ref in wanted})
        for failure in failures:
            log.warning("%s", failure)
        temporary = [f for f in failures if f.temporary]
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        pause, self._retry_pause = (
            self._retry_pause,
            min(self._retry_pause * 2, RETRY_CAP) if temporary else RETRY_FIRST,
        )
        if temporary:
            pause = max([pause, *(f.delay or 0.0 for f in temporary)])
            self._retry = asyncio.get_running_loop().call_later(pause, self.want, "retry")

    def _policy_of(self, program: str) -> RestartPolicy:
        return getattr(self._spec_of(program), "restart", RestartPolicy())

    def _held(self, program: str) -> bool:
        """Whether the hub does not know its camera."""
        spec = self._spec_of(program)
        return isinstance(spec, CaptureSpec | LoopbackSpec) and spec.camera not in self.host.cameras()

    def _feeder_of(self, program: str) -> str | None:
        return "hub" if isinstance(self._spec_of(program), CaptureSpec | LoopbackSpec) else None

    def _spec_of(self, program: str) -> Spec | None:
        good = self.memory.good
        if self._specs[0] is not good:
            self._specs = (good, {r.ref.program: r.spec for r in good})
        return self._specs[1].get(program)

    async def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        await self.healer.close()

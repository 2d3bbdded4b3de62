"""Inside supervisord: the RPC namespace `vidops`. Named in the generated `[rpcinterface:vidops]`.

supervisord's own calls read all configuration (2 s at 1,000 programs, with everything else waiting) and say
little of a failed start. These read one program's file at a time. They use names inside supervisor 4.3
(`options.process_groups_from_parser`, `supervisord.process_groups`, `Subprocess`), hence its pin.

Answers are JSON text: one string costs supervisord's XML writer a hundredth of what a list of structs does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from supervisor import events
from supervisor.options import UnhosedConfigParser
from supervisor.process import Subprocess
from supervisor.states import STOPPED_STATES, ProcessStates, getProcessStateDescription
from supervisor.xmlrpc import Faults, RPCError

from vidops.planning.render import PROGRAM_PATTERN, PROTOCOL
from vidops.runtime import exec as shim
from vidops.runtime.notify import forget_manager, notify
from vidops.runtime.supervisor_events import EventServer, Waker

SIGNALS = frozenset({"TERM", "HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "STOP", "CONT"})

LAST_WORDS = 0.1
"""Seconds that a program's output is waited for after its end, where somebody of its group is left to write it."""
PATIENCE, PERIOD = 0.3, 2.0
"""Seconds that all of them are waited for, in so many: supervisord does nothing else meanwhile."""
HELD = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})


def make(supervisord: Any, run_dir: str) -> VidopsInterface:
    """The factory that supervisord calls once, before it daemonizes."""
    return VidopsInterface(supervisord, run_dir)


class VidopsInterface:
    """Methods without an underscore are callable over RPC."""

    def __init__(self, supervisord: Any, run_dir: str) -> None:
        self._supervisord = supervisord
        self._run_dir = run_dir
        self._waker = Waker()
        self._events = EventServer(f"{run_dir}/events/supervisor.sock")
        events.subscribe(events.ProcessStateEvent, self._events.push)
        events.subscribe(events.SupervisorRunningEvent, self._running)
        events.subscribe(events.SupervisorStoppingEvent, self._stopping)
        shim.raise_file_limit()
        supervisord.options.execve = Become(supervisord.options.execve)
        Subprocess.drain = _patiently(Subprocess.drain)

    def _running(self, event: object) -> None:
        # Only now: before, supervisord may still become its own child. The shim compares its parent with this.
        os.environ["VIDOPS_SUPERVISOR_PID"] = str(os.getpid())
        notify("READY=1")
        forget_manager()

    def _stopping(self, event: object) -> None:
        # supervisord would stop one group after the other; all at once takes the time of the slowest.
        for group in list(self._supervisord.process_groups.values()):
            group.stop_all()

    def _process(self, name: str) -> Any:
        group = self._supervisord.process_groups.get(name)
        if group is None:
            raise RPCError(Faults.BAD_NAME, f"{name} is not known")
        return group.processes[name]

    def _load(self, name: str) -> Any:
        """The group that a program's file describes. Raises for a name that could lead out of its directory."""
        if not re.fullmatch(PROGRAM_PATTERN, name):
            raise RPCError(Faults.BAD_NAME, f"{name!r} is not a program's name")
        path = f"{self._run_dir}/programs/{name}.conf"
        parser = UnhosedConfigParser()
        try:
            if not parser.read(path):
                raise RPCError(Faults.BAD_NAME, f"{name}: there is no {path}")
            found = self._supervisord.options.process_groups_from_parser(parser)
        except (ValueError, OSError) as error:
            raise RPCError(Faults.CANT_REREAD, f"{path}: {error}") from None
        if [group.name for group in found] != [name]:
            raise RPCError(Faults.CANT_REREAD, f"{path}: must describe {name} and nothing else")
        return found[0]

    def _install(self, name: str) -> bool:
        """Make the program known as its file has it now; a running one is left alone. Returns whether it changed."""
        wanted = self._load(name)
        known = self._supervisord.process_groups.get(name)
        if known is not None:
            if known.config == wanted or known.get_unstopped_processes():
                return False
            self._supervisord.remove_process_group(name)
        return bool(self._supervisord.add_process_group(wanted))

    def hello(self) -> str:
        """Who answers: {"pid", "protocol", "owner", "files": the limit on open files}."""
        return json.dumps(
            {
                "pid": os.getpid(),
                "protocol": PROTOCOL,
                "owner": os.environ.get("VIDOPS_OWNER", ""),
                "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            }
        )

    def inventory(self) -> str:
        """[[program, state, pid, exit status, since], ...]; without what was supplanted"""
        groups = [group for name, group in self._supervisord.process_groups.items() if "~" not in name]
        return json.dumps([_describe(process) for group in groups for process in group.processes.values()])

    def state(self, name: str) -> str:
        """One entry of `inventory`."""
        return json.dumps(_describe(self._process(name)))

    def ensure(self, names: Sequence[str]) -> str:
        """Make programs known; those known and stopped are taken as their files have them now. Gives the changed."""
        return json.dumps([name for name in names if self._install(name)])

    def refresh(self, names: Sequence[str]) -> str:
        """`ensure`, refusing where a program runs with another configuration."""
        for name in names:
            known = self._supervisord.process_groups.get(name)
            if known is not None and known.get_unstopped_processes() and known.config != self._load(name):
                raise RPCError(Faults.STILL_RUNNING, f"{name} runs with another configuration: stop it first")
        return self.ensure(names)

    def forget(self, names: Sequence[str]) -> str:
        """Make stopped programs unknown; unknown ones are fine. Gives those forgotten."""
        groups = self._supervisord.process_groups
        known = [name for name in names if name in groups]
        for name in known:
            if groups[name].get_unstopped_processes():
                raise RPCError(Faults.STILL_RUNNING, f"{name} is not stopped")
        for name in known:
            self._supervisord.remove_process_group(name)
        return json.dumps(known)

    def start(self, name: str) -> str:
        """Start a program as its file has it now; gives its state. A running one is left alone."""
        if self._supervisord.options.mood <= 0:
            raise RPCError(Faults.SHUTDOWN_STATE, "supervisord is shutting down")
        self._install(name)
        process = self._process(name)
        if process.state == ProcessStates.STOPPING:
            raise RPCError(Faults.STILL_RUNNING, f"{name} (pid {process.pid}) is still stopping")
        if process.state in STOPPED_STATES:
            if process.state == ProcessStates.UNKNOWN:
                process.change_state(ProcessStates.STOPPED)
            _spawn(process)
            self._share_log(name, process)
            process.transition()
            if not process.pid:
                raise RPCError(Faults.SPAWN_ERROR, f"{name}: {process.spawnerr}")
        return json.dumps(_describe(process))

    def supplant(self, name: str) -> str:
        """Start a program as its file has it now beside its process, which goes on under another name, `name~pid`,
        until `dismiss`; gives the new one's state."""
        self._bury(name)
        groups, old = self._supervisord.process_groups, self._process(name)
        wanted = self._load(name)
        if old.state in (ProcessStates.STARTING, ProcessStates.RUNNING):
            group = groups.pop(name)
            group.config.name = old.config.name = f"{name}~{old.pid}"
            groups[group.config.name] = group
            self._supervisord.add_process_group(wanted)
        return self.start(name)

    def _share_log(self, name: str, process: Any) -> None:
        """What was supplanted writes on into the files of this process: two that rotate the same ones lose lines."""
        logs = {output.channel: output for output in process.dispatchers.values() if hasattr(output, "normallog")}
        for other, group in self._supervisord.process_groups.items():
            if other.startswith(f"{name}~"):
                for output in [o for old in group.processes.values() for o in old.dispatchers.values()]:
                    if (newer := logs.get(getattr(output, "channel", ""))) is not None:
                        output.normallog = output.childlog = newer.normallog

    def dismiss(self, name: str) -> str:
        """Begin to stop what `supplant` left beside a program, within the time that its own file gave it; gives the
        names of those that are there still."""
        self._bury(name)
        left = [other for other in self._supervisord.process_groups if other.startswith(f"{name}~")]
        for other in left:
            self._supervisord.process_groups[other].stop_all()
        return json.dumps(left)

    def _bury(self, name: str) -> None:
        """Forget the ended among those."""
        for other, group in list(self._supervisord.process_groups.items()):
            if other.startswith(f"{name}~") and not group.get_unstopped_processes():
                self._supervisord.remove_process_group(other)

    def stop(self, name: str) -> str:
        """Begin to stop a program, without waiting; gives its state. A stopped one is left alone."""
        process = self._process(name)
        if process.state in (ProcessStates.STARTING, ProcessStates.RUNNING):
            process.stop()
            self._supervisord.reap()
        return json.dumps(_describe(process))

    def kill(self, name: str) -> str:
        """End a program that does not want to stop, with its process group."""
        process = self._process(name)
        if process.pid:
            process.kill(signal.SIGKILL)
        return json.dumps(_describe(process))

    def signal(self, name: str, signal_name: str) -> str:
        """Send a signal to a program's process; gives its state."""
        if signal_name not in SIGNALS:
            raise RPCError(Faults.BAD_SIGNAL, f"{signal_name!r}: one of {', '.join(sorted(SIGNALS))}")
        process = self._process(name)
        if not process.pid:
            raise RPCError(Faults.NOT_RUNNING, f"{name} does not run")
        process.signal(getattr(signal, f"SIG{signal_name}"))
        return json.dumps(_describe(process))


class Become:
    """In supervisord's place of `execve`, in the child: be the shim instead of starting an interpreter for it.

    As long as its file is the one that is loaded here: after an upgrade of vidops, the newer one knows newer specs.
    """

    def __init__(self, execve: Callable[[str, Sequence[str], Mapping[str, str]], None]) -> None:
        self._execve = execve
        self._shim = os.path.abspath(shim.__file__)
        self._known = _facts(self._shim)

    def __call__(self, path: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        if list(argv[1:4]) == ["-I", "-S", self._shim] and len(argv) == 5 and _facts(self._shim) == self._known:
            os.environ.clear()
            os.environ.update(env)
            _leave_files()
            code = shim.run(argv[4], forked=True)
            if code is not None:
                os._exit(code)
        self._execve(path, argv, env)


def _leave_files() -> None:
    """Close what is supervisord's: a start that hangs on a disk must not hold its sockets and pipes meanwhile."""
    kept = sorted(json.loads(os.environ.get("VIDOPS_LISTEN_FDS", "{}")).values())
    for before, after in pairwise((2, *kept, resource.getrlimit(resource.RLIMIT_NOFILE)[0])):
        os.closerange(before + 1, after)


def _patiently(drain: Callable[[Any], None]) -> Callable[[Any], None]:
    """supervisord reads once what a program has left to say, and closes. The filter that takes secrets out of its
    output (`exec.clear_output`) says the last of it a moment later: why a camera did not let it in, for instance."""

    waited = since = 0.0

    def patient(process: Any) -> None:
        nonlocal waited, since
        begun = time.monotonic()
        if begun - since > PERIOD:
            waited, since = 0.0, begun
        deadline = begun + min(LAST_WORDS, PATIENCE - waited)
        for output in list(process.dispatchers.values()):
            while output.readable() and _group_lives(process.pid) and (left := deadline - time.monotonic()) > 0:
                poller = select.poll()
                poller.register(output.fd, select.POLLIN)
                if poller.poll(1000 * left):
                    output.handle_read_event()
        waited += time.monotonic() - begun
        drain(process)

    return patient


def _group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except OSError:
        return False
    return True


def _facts(path: str) -> tuple[int, ...]:
    """Which file it is, and since when."""
    try:
        info = os.stat(path)
    except OSError:
        return ()
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def _spawn(process: Any) -> None:
    """Start a process such that no signal to it is lost, however early it is sent.

    At first, the child has supervisord's signal handlers, which would swallow it: so signals stay pending until the
    shim lets them in. And a signal to its process group finds none until the child has made it: so both make it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        process.spawn()
        if process.pid:
            # It has made it and executed already, or has ended.
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.setpgid(process.pid, process.pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _describe(process: Any) -> list[object]:
    since = process.laststop if process.state in STOPPED_STATES else process.laststart
    state = getProcessStateDescription(process.state)
    return [process.config.name, state, process.pid, process.exitstatus or 0, since]

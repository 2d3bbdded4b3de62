"""The life of the private supervisord: started or adopted, swept up behind, shut down with all it runs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import glob
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import NoReturn

from vidops.errors import AlreadyRunningError, PermanentError, TemporaryError
from vidops.planning.render import PROTOCOL, supervisord_conf
from vidops.resources.layout import Layout
from vidops.runtime import activation
from vidops.runtime.files import atomic_write, read_bounded, write_if_changed
from vidops.runtime.notify import FROM_MANAGER
from vidops.runtime.procfs import descends, environment, kill_owned, owned, wait_for_exit
from vidops.runtime.rpc import call

PROGRAM = "supervisord"
"""`VIDOPS_PROGRAM` of supervisord itself."""
START_TIMEOUT = 20.0
"""Seconds that a supervisord may take to answer, before it counts as hanging and is replaced."""


def owner_token(layout: Layout) -> str:
    """The token that every process of this runtime directory carries in `VIDOPS_OWNER`; made at first use."""
    path = f"{layout.run_dir}/owner"
    with contextlib.suppress(FileNotFoundError):
        if token := read_bounded(path, 256).decode("ascii", "replace").strip():
            return token
        os.unlink(path)
    # Two may get here at once (`vidops run`, `vidops supervise`); the first to link has made it.
    mine = f"{path}.{secrets.token_hex(4)}"
    atomic_write(mine, secrets.token_hex(16) + "\n")
    try:
        with contextlib.suppress(FileExistsError):
            os.link(mine, path)
    finally:
        os.unlink(mine)
    return owner_token(layout)


def foreground_argv(layout: Layout) -> list[str]:
    """supervisord in the foreground, for a service manager. Needs `foreground_environment`."""
    return [*_argv(layout), "-n"]


def foreground_environment(layout: Layout) -> dict[str, str]:
    return {**os.environ, "VIDOPS_OWNER": owner_token(layout), "VIDOPS_PROGRAM": PROGRAM}


def _daemon_environment(layout: Layout) -> dict[str, str]:
    return {name: value for name, value in foreground_environment(layout).items() if name not in FROM_MANAGER}


def become_supervisord(layout: Layout) -> NoReturn:
    """Turn this process into supervisord in the foreground (`vidops supervise`), after sweeping up behind a dead one.

    Leaves a mark, so that `ensure_running` leaves its restart to whoever called this. Raises `AlreadyRunningError`.
    """
    running = _supervisords(layout)
    if running:
        raise AlreadyRunningError(
            f"supervisord (pid {running[0]}) already runs in {layout.run_dir}: `vidops stop` ends it"
        )
    sweep(layout, 0)
    atomic_write(_mark(layout), "")
    write_if_changed(_conf(layout), supervisord_conf(layout))
    activation.keep(os.environ, os.getpid())
    env = foreground_environment(layout)
    os.umask(0o077)
    os.execve(sys.executable, foreground_argv(layout), env)  # noqa: S606 - no shell is the point


def _mark(layout: Layout) -> str:
    """There while supervisord is a service manager's to start."""
    return f"{layout.run_dir}/supervised"


def _conf(layout: Layout) -> str:
    return f"{layout.run_dir}/supervisord.conf"


def _argv(layout: Layout) -> list[str]:
    # -P: the working directory is no place to import from.
    return [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", _conf(layout)]


async def supervisord_pid(layout: Layout, timeout: float = 10.0) -> int:
    """The pid of the supervisord that answers. Raises as `rpc.call`, and `PermanentError` for one that is not ours."""
    hello = json.loads(await call(layout.supervisor_socket, "vidops.hello", timeout=timeout))
    pid = int(hello["pid"])
    if hello["protocol"] != PROTOCOL:
        raise PermanentError(
            f"supervisord (pid {pid}) was started by another version of vidops, which this one cannot talk to: "
            "stop that one (`vidops stop`) and start again",
            reason="WrongVersion",
        )
    if hello["owner"] != await asyncio.to_thread(owner_token, layout):
        raise PermanentError(
            f"supervisord (pid {pid}) at {layout.supervisor_socket} is not of this runtime directory: stop it",
            reason="NotOurs",
        )
    return pid


async def ensure_running(layout: Layout, patience: float = START_TIMEOUT, *, start: bool = True) -> int:
    """Make sure that a supervisord answers, and return its pid. The runtime directory's tree must be there.

    One that runs is adopted, with all that it runs. Where none does, one is started, which outlives this process.
    One that is there and does not answer, and a service manager that is to start one (`become_supervisord`), are
    given `patience` seconds first. Processes with our token that do not descend from the supervisord are killed.
    start: False where supervisord is somebody else's to start, always; then one that hangs is only ended.
    Raises `TemporaryError` where none can be had.
    """
    async with _alone(layout):
        return await _ensure_running(layout, patience, start)


async def _ensure_running(layout: Layout, patience: float, start: bool) -> int:
    try:
        pid = await _await_answer(layout, patience, wait=not start)
    except TemporaryError:
        await asyncio.to_thread(sweep, layout, 0)
        if not start:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_mark(layout))
        try:
            await asyncio.to_thread(_spawn, layout)
        except TemporaryError as refusal:
            # A service manager may have been quicker; otherwise the refusal is what to tell.
            try:
                return await supervisord_pid(layout)
            except TemporaryError:
                raise refusal from None
        return await supervisord_pid(layout)
    await asyncio.to_thread(sweep, layout, pid)
    return pid


@contextlib.asynccontextmanager
async def _alone(layout: Layout) -> AsyncIterator[None]:
    """One start or shutdown at a time: two would take each other's half-made supervisord for a leftover."""
    descriptor = os.open(f"{layout.run_dir}/supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


async def _await_answer(layout: Layout, patience: float, *, wait: bool) -> int:
    """Ask; where a supervisord of ours does not answer (yet, or any more), or somebody starts it, give it time.

    wait: give it time in any case.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while True:
        try:
            return await supervisord_pid(layout, timeout=max(0.1, deadline - clock()))
        except TemporaryError:
            if clock() > deadline or not (wait or await asyncio.to_thread(_expected, layout)):
                raise
        await asyncio.sleep(0.05)


def _expected(layout: Layout) -> bool:
    return os.path.exists(_mark(layout)) or bool(_supervisords(layout))


def _supervisords(layout: Layout) -> list[int]:
    return [pid for pid in owned(owner_token(layout)) if environment(pid).get("VIDOPS_PROGRAM") == PROGRAM]


def sweep(layout: Layout, supervisord: int) -> list[int]:
    """Kill processes that carry our token and do not descend from the living supervisord (0: none). Blocking."""
    token = owner_token(layout)
    orphans = [pid for pid in owned(token) if not supervisord or not descends(pid, supervisord)]
    return kill_owned((pid for pid in orphans if not descends(os.getpid(), pid)), token)


def _spawn(layout: Layout) -> None:
    """Start supervisord as a daemon. It forks when its socket listens, so that its parent's exit code tells."""
    write_if_changed(_conf(layout), supervisord_conf(layout))
    activation.keep(os.environ, os.getpid())
    try:
        result = subprocess.run(
            _argv(layout),
            env=_daemon_environment(layout),
            pass_fds=tuple(set(activation.told(os.environ).values())),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            umask=0o077,
            timeout=START_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TemporaryError(f"supervisord did not start: {error}", reason="SupervisorDown") from None
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip()[-500:] or f"exit code {result.returncode}"
        raise TemporaryError(f"supervisord did not start: {said}", reason="SupervisorDown")


async def shutdown(layout: Layout, timeout: float = 30.0) -> None:
    """Stop every program, then supervisord, and return when no process with our token and no socket is left.

    What has not ended after `timeout` seconds is killed.
    """
    async with _alone(layout):
        await _shutdown(layout, timeout)


async def _shutdown(layout: Layout, timeout: float) -> None:
    # Whatever its version: the way out of a wrong one is to stop it. One that hangs, or is on its way out, is waited
    # for like any other, and killed in the end.
    with contextlib.suppress(TemporaryError):
        hello = json.loads(await call(layout.supervisor_socket, "vidops.hello", timeout=min(10.0, timeout)))
        if hello["owner"] == await asyncio.to_thread(owner_token, layout):
            await call(layout.supervisor_socket, "supervisor.shutdown", timeout=min(10.0, timeout))
    for pid in await asyncio.to_thread(_supervisords, layout):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if not await asyncio.to_thread(wait_for_exit, handle, timeout):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    await asyncio.to_thread(wait_for_exit, handle, 5.0)
            finally:
                os.close(handle)
    await asyncio.to_thread(sweep, layout, 0)
    await asyncio.to_thread(_remove_sockets, layout)


def _remove_sockets(layout: Layout) -> None:
    folders = ("in", "out", "events", "gateway")
    found = [
        path for name in folders for path in glob.glob(f"{glob.escape(layout.run_dir)}/{name}/*") if ".sock" in path
    ]
    single = (layout.supervisor_socket, layout.hub_socket, f"{layout.run_dir}/supervisor.pid", _mark(layout))
    for path in (*found, *single):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

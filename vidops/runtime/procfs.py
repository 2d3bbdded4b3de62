"""What /proc says of processes: whose they are, who started them, whether they still are who they were."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Mapping

from vidops.runtime.exec import run_id


def environment(pid: int) -> Mapping[str, str]:
    """The environment that a process was started with; empty where it is gone or somebody else's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = file.read()
    except OSError:
        return {}
    pairs = (item.partition("=") for item in data.decode("utf-8", "surrogateescape").split("\0") if item)
    return {name: value for name, _, value in pairs}


def parent(pid: int) -> int:
    """The parent's pid; 0 where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def owned(token: str) -> list[int]:
    """Processes that carry this owner token in their environment."""
    needle = f"VIDOPS_OWNER={token}\0".encode()
    found = []
    for pid in processes():
        # Bytes first: most processes are not ours, and parsing each environment would cost.
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if needle in file.read():
                found.append(pid)
    return found


def descends(pid: int, ancestor: int) -> bool:
    """Whether `pid` is `ancestor` or below it."""
    for _ in range(64):
        if pid == ancestor:
            return True
        if pid <= 1:
            return False
        pid = parent(pid)
    return False


def run_is_alive(run: str) -> bool:
    """Whether the process that a run id (`exec.run_id`) was made for still runs."""
    try:
        pid = int(run.partition("_")[0], 36)
        return run_id(pid) == run and state(pid) not in "ZX"
    except (OSError, ValueError, IndexError):
        return False


def state(pid: int) -> str:
    """One letter of proc(5): R, S, D, T, Z ...; X where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return "X"


def kill_owned(pids: Iterable[int], token: str, *, timeout: float = 5.0) -> list[int]:
    """SIGKILL these processes, each only if it still carries the token, and wait until they are gone.

    A process is held by a pidfd while its environment is read again: a pid that was given to somebody else in
    between cannot be hit. Returns the pids that were killed.
    """
    handles: dict[int, int] = {}
    try:
        for pid in pids:
            # Gone already; or it has become another user's, by a setuid program.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                handle = os.pidfd_open(pid)
                if environment(pid).get("VIDOPS_OWNER") != token:
                    os.close(handle)
                    continue
                handles[pid] = handle
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        deadline = time.monotonic() + timeout
        for handle in handles.values():
            wait_for_exit(handle, deadline - time.monotonic())
        return list(handles)
    finally:
        for handle in handles.values():
            os.close(handle)


def wait_for_exit(pidfd: int, timeout: float) -> bool:
    """Wait (blocking) until the process of a pidfd has ended; whether it did within `timeout` seconds."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(max(0.0, timeout) * 1000))


def running_fingerprint(pid: int, patience: float = 1.0) -> str:
    """The fingerprint that a process of ours was started with; empty where there is none.

    In its first moments it is still the exec shim, which says nothing: that is waited for (blocking, at
    most `patience` seconds), since "unknown" would have a fresh process replaced.
    """
    deadline = time.monotonic() + patience
    while True:
        env = environment(pid)
        found = env.get("VIDOPS_FINGERPRINT", "")
        if found or not env.get("VIDOPS_OWNER") or time.monotonic() > deadline:
            return found
        time.sleep(0.002)


def open_files(pid: int) -> set[tuple[int, int]] | None:
    """(device, inode) of every file that a process has open; None where it is not ours to know."""
    found = set()
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except FileNotFoundError:
        return set()
    except OSError:
        return None
    for name in names:
        with contextlib.suppress(OSError):
            info = os.stat(f"/proc/{pid}/fd/{name}")
            found.add((info.st_dev, info.st_ino))
    return found


def group_members(group: int) -> list[int]:
    """Processes of a process group. supervisord makes one for each program, named after its first process."""
    found = []
    for pid in processes():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == group:
                found.append(pid)
    return found

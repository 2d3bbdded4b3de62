"""The runtime directory: made, checked, and held by one control plane at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import stat
import time
from dataclasses import asdict, dataclass, replace

from vidops.errors import AlreadyRunningError, PermanentError
from vidops.resources.layout import SOCKET_PATH_LIMIT, Layout
from vidops.runtime.files import UNFINISHED

LONGEST_NAME = 48
"""Of an entry of the stack file (`stack.scalars.Name`), which becomes a socket's name."""
PATIENCE = 0.5
"""Seconds to try for a lock: somebody who only looks holds it for an instant."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a runtime directory. `since`: Unix seconds; `address`: where its page is, once it serves one."""

    pid: int
    user: str
    stack: str
    since: float
    address: str = ""


def make_tree(layout: Layout) -> None:
    """Make the runtime directory and those below it, 0700.

    Raises `PermanentError` where it cannot serve: somebody else's, full of other things, too long for sockets.
    """
    run_dir = layout.run_dir
    longest = max(
        layout.gateway_socket("n" * LONGEST_NAME + ".64"), f"{run_dir}/events/supervisor.sock.4194304", key=len
    )
    excess = len(os.fsencode(longest)) - SOCKET_PATH_LIMIT
    if excess > 0:
        raise PermanentError(
            f"run_dir {run_dir} is {excess} bytes too long: a unix socket's path has at most {SOCKET_PATH_LIMIT}, and "
            f"{len(os.fsencode(longest)) - len(os.fsencode(run_dir))} go to names below it; choose a shorter one "
            "(--run-dir or VIDOPS_RUN_DIR)",
            reason="BadRunDir",
        )
    try:
        os.makedirs(run_dir, mode=0o700, exist_ok=True)
        info = os.stat(run_dir)
        if info.st_uid != os.geteuid():
            raise PermanentError(
                f"run_dir {run_dir} belongs to {_user(info.st_uid)}: choose your own (--run-dir or VIDOPS_RUN_DIR)",
                reason="BadRunDir",
            )
        # A shared directory given by mistake (/tmp, a home) must not be closed to its other users.
        if info.st_mode & stat.S_ISVTX or (os.listdir(run_dir) and not os.path.exists(layout.lock)):
            raise PermanentError(
                f"run_dir {run_dir} holds other things: give vidops a directory of its own "
                "(--run-dir or VIDOPS_RUN_DIR)",
                reason="BadRunDir",
            )
        os.chmod(run_dir, 0o700)
        os.close(os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for directory in layout.directories:
            os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise PermanentError(
            f"run_dir {run_dir} cannot be used: {error.strerror}: {error.filename}", reason="BadRunDir"
        ) from None


class RunLock:
    """Held for the life of a control plane; the kernel frees it when the process ends, however it ends."""

    def __init__(self, layout: Layout, descriptor: int, holder: Holder) -> None:
        self._layout = layout
        self._descriptor = descriptor
        self.holder = holder

    @classmethod
    def acquire(cls, layout: Layout, *, stack: str, address: str = "") -> RunLock:
        """Make the tree and take the lock. Raises `AlreadyRunningError` where another control plane has it."""
        make_tree(layout)
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor, layout)
            lock = cls(layout, descriptor, Holder(os.getpid(), _user(os.geteuid()), stack, time.time(), address))
            lock._write()
            _remove_unfinished(layout)
        except BaseException:
            os.close(descriptor)
            raise
        return lock

    def update(self, *, stack: str | None = None, address: str | None = None) -> None:
        """Change what others are told of the holder."""
        self.holder = replace(
            self.holder,
            stack=self.holder.stack if stack is None else stack,
            address=self.holder.address if address is None else address,
        )
        self._write()

    def _write(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(asdict(self.holder)).encode() + b"\n", 0)

    def release(self) -> None:
        """Let go; a second time is fine. The file stays: removing it would let two hold "the" lock."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _remove_unfinished(layout: Layout) -> None:
    """What `files.atomic_write` had not finished when an earlier holder was killed."""
    for directory in layout.directories:
        for name in os.listdir(directory):
            if name.endswith(UNFINISHED):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{directory}/{name}")


def find_holder(layout: Layout) -> Holder | None:
    """Who holds the runtime directory now; None where nobody does."""
    try:
        descriptor = os.open(layout.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _take(descriptor: int, layout: Layout) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise AlreadyRunningError(_describe(_read(descriptor), layout)) from None
        time.sleep(0.02)


def _read(descriptor: int) -> Holder:
    with contextlib.suppress(ValueError, TypeError):
        return Holder(**json.loads(os.pread(descriptor, 65536, 0)))
    # Read in the instant between truncating and writing, or written by another version.
    return Holder(0, "", "", 0.0)


def _describe(holder: Holder, layout: Layout) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    address = f" ({holder.address})" if holder.address else ""
    return (
        f"vidops already runs here: pid {holder.pid} (user {holder.user}) with {holder.stack} since {since}{address}; "
        f"run_dir {layout.run_dir}. Stop it with `vidops stop`, or choose another --run-dir"
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"

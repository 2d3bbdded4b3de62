"""An open video node, asked with patience: a wedged device can keep a call in the kernel for ever."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds to wait for a node."""


class Ioctl(Protocol):
    """ioctl(2) on one open node: takes the request's number and its structure, gives the structure as it came back.

    Raises `OSError`, as the kernel answers.
    """

    def __call__(self, request: int, data: bytes, /) -> bytes: ...


@contextmanager
def opened(path: str) -> Iterator[Ioctl]:
    """Raises `OSError` where it cannot be opened. Several may open a node; only streaming is exclusive."""
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:

        def ioctl(request: int, data: bytes) -> bytes:
            return fcntl.ioctl(descriptor, request, data)

        yield ioctl
    finally:
        os.close(descriptor)


def asked(path: str, question: Callable[[Ioctl], T], patience: float = PATIENCE) -> T:
    """What `question` finds out of the node. Raises `OSError`, and `TimeoutError` (which is one) where a call hangs for
    longer than `patience`, or all of them take longer than ten times that."""
    found: list[T] = []
    failed: list[OSError] = []
    calls = 0

    def ask() -> None:
        nonlocal calls
        try:
            with opened(path) as ioctl:

                def counted(request: int, data: bytes, /) -> bytes:
                    nonlocal calls
                    calls += 1
                    return ioctl(request, data)

                found.append(question(counted))
        except OSError as error:
            failed.append(error)

    # In a thread of its own, which is left behind if the kernel never answers.
    thread = threading.Thread(target=ask, name=f"ask {path}", daemon=True)
    thread.start()
    for _ in range(10):
        before = calls
        thread.join(patience)
        if not thread.is_alive() or calls == before:
            break
    if found:
        return found[0]
    raise failed[0] if failed else TimeoutError(f"{path} did not answer within {patience:g}s")


def listed(ioctl: Ioctl, request: int, make: Callable[[int], bytes], most: int) -> Iterator[bytes]:
    """The answers of an enumeration, from index 0 until the driver says that there are no more, at most `most`."""
    for index in range(most):
        try:
            yield ioctl(request, make(index))
        except OSError:
            return


def text(field: bytes) -> str:
    """A C string of the kernel's, whatever bytes are in it."""
    return field.partition(b"\0")[0].decode(errors="replace")


def number(direction: int, which: int, size: int) -> int:
    """The number of a request `_IOR('V', which, …)` (direction 2), `_IOW` (1) or `_IOWR` (3) (asm-generic/ioctl.h)."""
    return direction << 30 | size << 16 | ord("V") << 8 | which

"""Files: written whole or not at all, read only so far."""

from __future__ import annotations

import contextlib
import os
import secrets

UNFINISHED = ".new"
"""What the name of a file ends with while it is written."""


def atomic_write(path: str, data: bytes | str, *, mode: int = 0o600, durable: bool = False) -> None:
    """Put `data` at `path` such that a reader sees the old content or the new, never a part.

    durable: also on disk when this returns (for what must outlast a power cut; files of the runtime directory
    need not). Raises `OSError`.
    """
    content = data.encode() if isinstance(data, str) else data
    temporary = f"{path}.{secrets.token_hex(4)}{UNFINISHED}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path) or ".")


def write_if_changed(path: str, data: bytes | str, *, mode: int = 0o600) -> bool:
    """`atomic_write`, unless the file holds just that already. Returns whether it was written."""
    content = data.encode() if isinstance(data, str) else data
    try:
        with open(path, "rb") as file:
            same = file.read(len(content) + 1) == content and os.fstat(file.fileno()).st_mode & 0o777 == mode
    except FileNotFoundError:
        same = False
    if not same:
        atomic_write(path, content, mode=mode)
    return not same


def read_bounded(path: str, limit: int = 1 << 20) -> bytes:
    """The content of a file of at most `limit` bytes; raises `ValueError` for a larger one, `OSError` for none."""
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path} is larger than {limit} bytes")
    return data


def sync_directory(path: str) -> None:
    """Make what was created, renamed or removed in a directory last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(path: str) -> int:
    """What an unprivileged process may still write on the file system of `path`. Raises `OSError`."""
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def total_bytes(path: str) -> int:
    """How large the file system of `path` is. Raises `OSError`."""
    room = os.statvfs(path)
    return room.f_blocks * room.f_frsize

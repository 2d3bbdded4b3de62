"""The end of a program's log, and what is added to it, across rotation."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from typing import BinaryIO

from vidops.resources.layout import Layout

LINE_LIMIT = 64 * 1024
"""Bytes of one line; longer ones are cut into pieces of this."""
INTERVAL = 0.2
"""Seconds between looks at a file that is followed."""


def log_tail(layout: Layout, program: str, lines: int = 100, *, limit: int = 256 * 1024) -> list[str]:
    """The last `lines` lines of a program's log, from the rotated file too; at most `limit` bytes of them."""
    path = layout.log_file(program)
    data, whole = _end_of(path, limit)
    if whole and data.count(b"\n") < lines:
        data = _end_of(f"{path}.1", limit - len(data))[0] + data
    return [line.decode(errors="replace") for line in data.splitlines()[-lines:]] if lines > 0 else []


def _end_of(path: str, limit: int) -> tuple[bytes, bool]:
    """The last whole lines of a file, `limit` bytes at most, and whether that is all of it."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            data = file.read(limit)
    except FileNotFoundError:
        return b"", True
    return (data, True) if size <= limit else (data.partition(b"\n")[2], False)


async def follow(layout: Layout, program: str, lines: int = 10) -> AsyncGenerator[str, None]:
    """The last `lines` lines, then each new one, for ever; waits where there is no log yet.

    A rotated file is read to its end before the new one is begun. Stop by closing the iterator.
    """
    path = layout.log_file(program)
    with contextlib.ExitStack() as stack:
        file: BinaryIO | None = _open(path)
        for line in log_tail(layout, program, lines):
            yield line
        if file is not None:
            stack.callback(file.close)
            file.seek(0, os.SEEK_END)
        rest = b""
        while True:
            chunk = file.read(LINE_LIMIT) if file is not None else b""
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) >= LINE_LIMIT:
                whole, rest = [*whole, rest], b""
            for piece in whole:
                yield piece.decode(errors="replace")
            if chunk:
                continue
            if file is None or _replaced(file, path):
                newer = _open(path)
                if newer is not None:
                    stack.callback(newer.close)
                    if file is not None:
                        file.close()
                    file = newer
                    continue
            elif os.fstat(file.fileno()).st_size < file.tell():
                file.seek(0)
            await asyncio.sleep(INTERVAL)


def _open(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        return None


def _replaced(file: BinaryIO, path: str) -> bool:
    """Whether the path names another file now, and this one has been read to its end."""
    try:
        here = os.stat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(file.fileno())
    return (here.st_dev, here.st_ino) != (opened.st_dev, opened.st_ino) and file.tell() >= opened.st_size

"""What the hub says of its cameras, kept up to date over one connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from vidops.runtime.hubwire import LINE_LIMIT, WireError, decode_line, encode_line

RETRY_FIRST, RETRY_MOST = 0.02, 0.1
"""Seconds between tries while the hub is away: it is back within a second, and recorders wait for this."""


class Watch:
    """`cameras`: last known state by name. After a loss it keeps what it knew until the hub says it anew."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.cameras: dict[str, Mapping[str, Any]] = {}
        self.connected = asyncio.Event()
        self.listeners: list[Callable[[], None]] = []
        self._readers: list[_Reader] = []

    async def run(self) -> None:
        """Watch for ever, connecting again after each loss."""
        pause = RETRY_FIRST
        while True:
            with contextlib.suppress(OSError, WireError, ValueError, LookupError, TypeError):
                # Whatever was said that makes no sense ends the connection, not the watch.
                if await self._follow():
                    pause = RETRY_FIRST
            self.connected.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MOST)

    async def _follow(self) -> bool:
        """One connection's life; whether it told of the cameras."""
        reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
        try:
            writer.write(encode_line({"op": "watch"}))
            answer = decode_line(await reader.readline())
            if not answer.get("ok"):
                return False
            self._replace({str(state["name"]): state for state in answer["cameras"]})
            self.connected.set()
            while (line := await reader.readline()).endswith(b"\n"):
                self._change(decode_line(line))
            return True
        finally:
            writer.close()

    def _replace(self, cameras: Mapping[str, Mapping[str, Any]]) -> None:
        for name in self.cameras.keys() - cameras.keys():
            self._change({"removed": name})
        for state in cameras.values():
            self._change({"camera": state})

    def _change(self, change: Mapping[str, Any]) -> None:
        if "removed" in change:
            name = str(change["removed"])
            self.cameras.pop(name, None)
        else:
            name = str(change["camera"]["name"])
            self.cameras[name] = change["camera"]
        for reader in self._readers:
            reader.put(name, change)
        for listener in self.listeners:
            listener()

    async def changes(self) -> AsyncGenerator[Mapping[str, Any], None]:
        reader = _Reader()
        for name, state in sorted(self.cameras.items()):
            reader.put(name, {"camera": state})
        self._readers.append(reader)
        try:
            while True:
                yield await reader.next()
        finally:
            self._readers.remove(reader)


class _Reader:
    """The changes that one reader has not taken yet: the newest of each camera, oldest first."""

    def __init__(self) -> None:
        self._pending: dict[str, Mapping[str, Any]] = {}
        self._some = asyncio.Event()

    def put(self, name: str, change: Mapping[str, Any]) -> None:
        self._pending.pop(name, None)
        self._pending[name] = change
        self._some.set()

    async def next(self) -> Mapping[str, Any]:
        while not self._pending:
            self._some.clear()
            await self._some.wait()
        return self._pending.pop(next(iter(self._pending)))

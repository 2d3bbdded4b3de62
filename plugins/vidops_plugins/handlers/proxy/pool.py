"""Connections to one upstream: opened where needed, kept for the next request, bounded."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque

from vidops_plugins.handlers.proxy.targets import Target
from vidops_plugins.handlers.proxy.wire import Connection

FRESH = 1.0
"""Seconds that a connection may have been idle for a request that cannot be sent twice: servers close idle ones after
five and more, and what is on its way then is lost."""


class Unreachable(Exception):
    """No connection. `timed_out`: there was no answer at all. The text is for the log."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Full(Exception):
    """All connections are taken, and none was given back in time."""


class Pool:
    """Seconds throughout. `most`: connections at a time; `idle`: of those, kept while nobody needs them."""

    def __init__(
        self,
        target: Target,
        tls: ssl.SSLContext | None,
        *,
        server_name: str,
        most: int,
        idle: int,
        idle_timeout: float,
        connect: float,
        wait: float,
    ) -> None:
        self._target = target
        self._tls = tls
        self._server_name = server_name
        self._room = asyncio.Semaphore(most)
        self._most_idle = idle
        self._idle_timeout = idle_timeout
        self._connect_timeout = connect
        self._wait_timeout = wait
        self._idle: deque[Connection] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def acquire(self, *, repeatable: bool, fresh: bool = False) -> Connection:
        """One of one's own until `release`. `repeatable`: what is sent on it could be sent again; `fresh`: no used one.

        Raises `Unreachable`, `Full`.
        """
        try:
            if not self._room.locked():
                await self._room.acquire()  # which waits for nothing
            else:
                async with asyncio.timeout(self._wait_timeout):
                    await self._room.acquire()
        except TimeoutError:
            raise Full(f"no connection to {self._target.url} became free within {self._wait_timeout:g}s") from None
        try:
            return (None if fresh else self._kept(repeatable)) or await self.open()
        except BaseException:
            self._room.release()
            raise

    def release(self, connection: Connection) -> None:
        """Give it back, whatever state it is in."""
        connection.over()
        self._room.release()
        if connection.reusable and len(self._idle) < self._most_idle:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweep_later()
        else:
            connection.close()

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._idle:
            self._idle.pop().close()

    async def open(self) -> Connection:
        """A new connection, outside the count. Raises `Unreachable`."""
        loop, target = asyncio.get_running_loop(), self._target
        try:
            async with asyncio.timeout(self._connect_timeout):
                if target.path:
                    _, connection = await loop.create_unix_connection(Connection, target.path)
                else:
                    name = self._server_name if self._tls is not None else None
                    _, connection = await loop.create_connection(
                        Connection, target.host, target.port, ssl=self._tls, server_hostname=name
                    )
                return connection
        except TimeoutError:
            message = f"{target.url} took no connection within {self._connect_timeout:g}s"
            raise Unreachable(message, timed_out=True) from None
        except OSError as error:
            raise Unreachable(f"{target.url}: {error}") from None

    def _kept(self, repeatable: bool) -> Connection | None:
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and (repeatable or now - connection.idle_since < FRESH):
                return connection
            connection.close()
        return None

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(self._idle_timeout / 2, self._sweep)

    def _sweep(self) -> None:
        oldest = time.monotonic() - self._idle_timeout
        while self._idle and (self._idle[0].idle_since < oldest or not self._idle[0].reusable):
            self._idle.popleft().close()
        self._sweeper = None
        if self._idle:
            self._sweep_later()

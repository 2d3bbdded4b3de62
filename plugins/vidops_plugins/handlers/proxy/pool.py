"""Connections to one upstream: opened where needed, kept for the next request, bounded."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections import deque
from dataclasses import dataclass

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


@dataclass(slots=True)
class Share:
    """What one client has of the connections. `users`: requests of it that hold one or wait."""

    room: asyncio.Semaphore
    users: int = 0


class Pool:
    """Seconds throughout. `most`: connections at a time, `per_client`: those of one client; `idle`: those kept while
    nobody needs them."""

    def __init__(
        self,
        target: Target,
        tls: ssl.SSLContext | None,
        *,
        server_name: str,
        most: int,
        per_client: int,
        idle: int,
        idle_timeout: float,
        connect: float,
        wait: float,
    ) -> None:
        self._target = target
        self._tls = tls
        self._server_name = server_name
        self._room = asyncio.Semaphore(most)
        self._per_client = per_client
        self._shares: dict[str, Share] = {}
        self._most_idle = idle
        self._idle_timeout = idle_timeout
        self._connect_timeout = connect
        self._wait_timeout = wait
        self._idle: deque[Connection] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def acquire(self, client: str, *, repeatable: bool, fresh: bool = False) -> Connection:
        """One of one's own until `release`. `client`: whose share it is of, or empty where nobody can tell.
        `repeatable`: what is sent on it could be sent again; `fresh`: no used one.

        Raises `Unreachable`, `Full`.
        """
        share = self._share(client)
        try:
            if not self._room.locked() and not share.room.locked():
                await share.room.acquire()  # which waits for nothing, as does the next
                await self._room.acquire()
            else:
                async with asyncio.timeout(self._wait_timeout):
                    await self._queue(share)
        except BaseException as error:
            self._leave(client, share)
            if not isinstance(error, TimeoutError):
                raise
            whose = "its client's connections" if share.room.locked() else "connection"
            raise Full(f"none of {whose} to {self._target.url} became free within {self._wait_timeout:g}s") from None
        try:
            connection = (None if fresh else self._kept(repeatable)) or await self.open()
        except BaseException:
            self._end(client, share)
            raise
        connection.client = client
        return connection

    async def _queue(self, share: Share) -> None:
        # One's own share first: who waits for that stands in nobody's way.
        await share.room.acquire()
        try:
            await self._room.acquire()
        except BaseException:
            share.room.release()
            raise

    def _share(self, client: str) -> Share:
        share = self._shares.get(client)
        if share is None:
            # Who has no address comes by a unix socket, from a proxy that all share.
            room = asyncio.Semaphore(self._per_client if client else sys.maxsize)
            share = self._shares[client] = Share(room)
        share.users += 1
        return share

    def _leave(self, client: str, share: Share) -> None:
        share.users -= 1
        if not share.users:
            del self._shares[client]

    def _end(self, client: str, share: Share) -> None:
        self._room.release()
        share.room.release()
        self._leave(client, share)

    def release(self, connection: Connection) -> None:
        """Give it back, whatever state it is in."""
        connection.over()
        self._end(connection.client, self._shares[connection.client])
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

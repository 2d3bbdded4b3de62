"""The connections of a gateway, whichever server has them."""

from __future__ import annotations

import asyncio

from vidops.resources.catalogue import Abortable


class Connections:
    """`catalogue.OpenConnections`: those that are not over."""

    def __init__(self) -> None:
        self._open: set[Abortable] = set()
        self._none: asyncio.Event | None = None
        self._ended = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Abortable) -> None:
        self._open.add(connection)
        if self._ended:
            connection.abort()

    def discard(self, connection: Abortable) -> None:
        self._open.discard(connection)
        if self._none is not None and not self._open:
            self._none.set()

    def abort(self) -> None:
        for connection in list(self._open):
            connection.abort()

    def end(self) -> None:
        """Drop all, and whichever is still to come: some may be in their handshakes."""
        self._ended = True
        self.abort()

    async def wait(self, timeout: float) -> None:
        """Until all are over, for at most so many seconds."""
        if not self._open:
            return
        self._none = asyncio.Event()
        try:
            async with asyncio.timeout(timeout):
                await self._none.wait()
        except TimeoutError:
            return
        finally:
            self._none = None


def flat(error: BaseException) -> str:
    """The errors in a group, without their tracebacks."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(flat(inner) for inner in error.exceptions)
    return repr(error)

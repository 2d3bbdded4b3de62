"""The protocol under a connection, which knows at once when its peer has gone, read or unread.

Streams tell of an end to whoever reads. A connection that does not read for a while (a second request waits behind a
stream, a body that nobody asked for fills its queue) would learn of it never. One limit remains: where an unread body
has filled every buffer (some 450 kB), the socket itself is not looked at until the application reads, answers or ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
READ_LIMIT = 64 * 1024


class Wire(asyncio.StreamReaderProtocol):
    """`on_gone` is called when the peer has closed its side, or the connection is lost; perhaps for both."""

    on_gone: Callable[[], None] | None = None

    def eof_received(self) -> bool | None:
        keep = super().eof_received()
        self._gone()
        return keep

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone()

    def _gone(self) -> None:
        if self.on_gone is not None:
            self.on_gone()


def wires(accept: Accept) -> Callable[[], Wire]:
    """A factory for `loop.create_server`: `accept(reader, writer)` runs for each connection."""
    loop = asyncio.get_running_loop()
    return lambda: Wire(asyncio.StreamReader(limit=READ_LIMIT, loop=loop), accept, loop=loop)

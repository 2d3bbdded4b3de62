"""`server: {type: hypercorn}`: every connection is Hypercorn's, as `connection.Connection` narrows it."""

from __future__ import annotations

import asyncio

from hypercorn.asyncio.worker_context import WorkerContext

from vidops.gateway.config import hypercorn_config
from vidops.gateway.connection import Connection
from vidops.gateway.connections import flat
from vidops.gateway.wire import wires
from vidops.resources.catalogue import ServerContext


class HypercornServer:
    """`catalogue.Server`."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._config = hypercorn_config()
        self._worker = WorkerContext(None)
        self._wires = wires(self._accept)

    def connect(self) -> asyncio.BaseProtocol:
        return self._wires()

    async def finish(self) -> None:
        await self._worker.terminated.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = self._context
        connection = Connection(
            context.app,
            self._config,
            self._worker,
            reader,
            writer,
            head_timeout=context.head_timeout,
            alt_svc=context.alt_svc,
        )
        context.connections.add(connection)
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001 - one connection's end must not be anybody else's
            context.log({"level": "warning", "event": "connection_failed", "error": flat(error)})
            connection.abort()
        finally:
            context.connections.discard(connection)

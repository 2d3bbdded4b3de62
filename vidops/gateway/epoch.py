"""What is asked of clients, the connections that were made while it was, and what speaks with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypercorn.asyncio.worker_context import WorkerContext

from vidops.gateway.connections import Connections
from vidops.resources.catalogue import Server


@dataclass(eq=False)
class Epoch:
    """`clients`: what certificates of clients are held to (`tls.Certificate.clients`). `context`: HTTP/3's word for
    whether it goes on."""

    clients: str = ""
    servers: dict[str, Server] = field(default_factory=dict)
    connections: Connections = field(default_factory=Connections)
    context: WorkerContext = field(default_factory=lambda: WorkerContext(None))

    async def finish(self) -> None:
        """Take no more requests: idle connections end now, others after the answer that they wait for."""
        await self.context.terminated.set()
        for server in self.servers.values():
            await server.finish()

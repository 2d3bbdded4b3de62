"""The gateway in its process: serves, takes over a new spec, ends in good order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from vidops.errors import PermanentError
from vidops.gateway import document, handover, tls
from vidops.gateway.binds import Bind
from vidops.gateway.config import HEAD_TIMEOUT, hypercorn_config
from vidops.gateway.connections import Connections, flat
from vidops.gateway.dispatcher import Dispatcher
from vidops.gateway.epoch import Epoch
from vidops.gateway.generation import Generation, Services, build_server, next_generation
from vidops.gateway.handover import Share
from vidops.gateway.listeners import Change, Listeners
from vidops.gateway.renewal import Renewal, look
from vidops.gateway.route import Route
from vidops.metrics import Metrics
from vidops.resources.catalogue import Receive, Scope, Send, Server, ServerContext
from vidops.resources.layout import gateway_workers
from vidops.resources.resource import JSON, fingerprint
from vidops.resources.specs import AFTER_DRAIN, GatewaySpec, TLSSpec
from vidops.runtime.tasks import Tasks

if TYPE_CHECKING:
    # An extra that only those have who want it.
    from vidops.gateway.bounded import BoundedQuic
    from vidops.gateway.h3 import QuicCall
    from vidops.gateway.quic import Link

LEAVE_TIMEOUT = 0.5
"""Seconds in which answers say that their connection ends: a request that meets the end of one that is idle is lost."""
ARRIVAL = 0.02
"""Seconds in which a connection that was accepted gets its protocol."""
END_TIMEOUT = 2.0
"""Seconds that connections have to end after the last request has; then they are dropped."""


class Gateway:
    """One permanent dispatcher, the listeners, and the connections."""

    def __init__(self, services: Services) -> None:
        self.head_timeout = HEAD_TIMEOUT
        self._services = services
        self._config = hypercorn_config()
        self._listeners = Listeners(self._connect, self._connect_quic)
        self._server: Server | None = None
        self._followed = False
        """Whether there is another process that clients can come to, once this one ends."""
        self._epoch = Epoch()
        self._former: set[Epoch] = set()
        """Other certificates, or none, were asked of their clients: they are let go."""
        self._tasks = Tasks()
        self._calls = Tasks()
        self._retiring: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._dispatcher: Dispatcher | None = None
        self.renewal = Renewal(self._tls_files, self._renewed, services.log)

    @property
    def worker(self) -> int:
        return self._services.worker

    @property
    def metrics(self) -> Metrics:
        return self._services.metrics

    def share(self) -> list[Share]:
        """What another process of this gateway serves on from now on."""
        self._followed = True
        return self._listeners.shares

    @property
    def addresses(self) -> Sequence[str]:
        return self._listeners.addresses

    async def load(self) -> int:
        """Read the gateway's file and serve what it says; returns the number of the generation.

        Raises `PermanentError`; then what was served before is served as before. A file with the very same
        fingerprint changes nothing but renewed certificates.
        """
        async with self._lock:
            return await self._serve(document.load(self._services.layout.gateway_file(self._services.process)))

    async def _serve(self, wanted: document.Document) -> int:
        """The caller has the lock."""
        services = self._services
        files = wanted.spec.tls
        seen = await asyncio.to_thread(look, files)
        if files is not None and services.worker > 1:
            # A connection's datagrams have to come to the process that has it: the first one has them all.
            files = files.model_copy(update={"http3": False})
        # In a thread: what HTTP/3 needs takes a tenth of a second to import, and streams go on meanwhile.
        certificate = await asyncio.to_thread(tls.load, files, services.secret) if files else None
        clients = certificate.clients if certificate else ""
        same = self._server is None or clients in ("", self._epoch.clients)
        epoch = self._epoch if same else Epoch()
        server = self._staged(wanted.spec, epoch)
        change = await self._opened(wanted.spec, certificate)
        previous = self._dispatcher.generation if self._dispatcher else None
        try:
            generation = await self._generation(wanted, previous)
        except BaseException:
            self._listeners.undo(change)
            raise
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(generation, services.log)
        if not same:
            # Before there is anything that they might not be meant to have.
            await self._epoch.finish()
        self._dispatcher.generation = generation
        services.in_force[:] = [wanted]
        if same:
            self._server = server
        # Until this is done, some may still come by what was asked before.
        await self._listeners.commit(change)
        self._server, epoch.clients = server, clients
        if not same:
            former, self._epoch = self._epoch, epoch
            self._former.add(former)
            self._tasks.start(self._let_go(former, wanted.spec.drain_timeout), "letting connections go")
        leaving = [r for k, r in previous.routes.items() if k not in generation.routes] if previous else []
        for route in leaving:
            self._retire(route, wanted.spec.drain_timeout)
        self.renewal.loaded(seen)
        services.log(
            {
                "level": "info",
                "event": "serving",
                "generation": generation.number,
                "fingerprint": wanted.fingerprint,
                "binds": self._listeners.addresses,
                "routes_left": len(leaving),
            }
        )
        return generation.number

    async def _renewed(self) -> bool:
        """What is served already, with what the files of its `tls` hold now; whether that is another. Raises
        `PermanentError`."""
        async with self._lock:
            if self._dispatcher is None or not self._listeners.addresses:
                return False  # it ends
            before = self._listeners.marks
            await self._serve(self._dispatcher.generation.document)
            return self._listeners.marks != before

    def _tls_files(self) -> TLSSpec | None:
        return self._dispatcher.generation.document.spec.tls if self._dispatcher else None

    async def _opened(self, spec: GatewaySpec, certificate: tls.Certificate | None) -> Change:
        """What the spec listens on: from the process before this one, and those beside it, where there are any."""
        shared: dict[Bind, Share] = {}
        services = self._services
        # The one before this, since what waits in its sockets' queues would be lost with them; then those beside it.
        kin = sorted(gateway_workers(services.gateway, spec.workers), key=lambda one: one != services.process)
        asked = [one for one in kin if one != services.process or self._dispatcher is None]
        if not self._listeners.lacks(spec.bind):
            asked = []
        ask = (
            asyncio.to_thread(handover.ask, services.layout.gateway_socket(one), beside=one != services.process)
            for one in asked
        )
        for found in await asyncio.gather(*ask):
            for bind, share in found.items():
                if shared.setdefault(bind, share) is not share:
                    share.close()
        try:
            return self._listeners.stage(spec.bind, certificate, shared, several=spec.workers > 1)
        finally:
            handover.close(shared)

    async def _generation(self, wanted: document.Document, previous: Generation | None) -> Generation:
        if previous and previous.document.fingerprint == wanted.fingerprint:
            return previous
        return await next_generation(wanted, previous, self._services)

    def _retire(self, route: Route, drain: float) -> None:
        task = self._tasks.start(route.retire(drain, self._services.log), f"retiring {route.pattern.text}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _let_go(self, former: Epoch, drain: float) -> None:
        """Its clients were asked for other certificates than those of now, or for none; it takes no more requests."""
        try:
            await former.connections.wait(drain)
        finally:
            former.connections.end()
        await former.connections.wait(END_TIMEOUT)
        self._former.discard(former)

    def status(self) -> JSON:
        """What the control socket tells. `rss` is in bytes."""
        generation = self._dispatcher.generation if self._dispatcher else None
        return {
            "pid": os.getpid(),
            "generation": generation.number if generation else 0,
            "fingerprint": generation.document.fingerprint if generation else "",
            "binds": self._listeners.addresses,
            "connections": sum(len(epoch.connections) for epoch in (self._epoch, *self._former)),
            "streams": self._dispatcher.streams if self._dispatcher else 0,
            "requests": self._dispatcher.requests if self._dispatcher else 0,
            "rss": _rss(),
            "trouble": self.renewal.trouble,
        }

    async def close(self) -> None:
        """Accept nothing more, end streams at once, let other requests finish for a while, drop what is left."""
        async with self._lock:
            # What has come is not yet among the connections: TLS has its handshake first.
            coming = LEAVE_TIMEOUT if self._listeners.secure else ARRIVAL
            self._listeners.close()
            if self._followed and self._dispatcher is not None:
                self._dispatcher.leave()
                # HTTP/3 has a word for it, which needs no answer to go with.
                await self._epoch.context.terminated.set()
                await asyncio.gather(asyncio.sleep(coming), self._epoch.connections.wait(LEAVE_TIMEOUT))
            await self._epoch.finish()
            if self._dispatcher is not None:
                generation = self._dispatcher.generation
                drain = final_drain(generation.document.spec)
                for route in generation.routes.values():
                    self._retire(route, drain)
                if self._retiring:
                    await asyncio.wait(self._retiring, timeout=drain + END_TIMEOUT)
                await self._tasks.close()
            await self._epoch.connections.wait(END_TIMEOUT)
            for epoch in (self._epoch, *self._former):
                epoch.connections.abort()
                await epoch.connections.wait(END_TIMEOUT)

    def _connect(self) -> asyncio.BaseProtocol:
        """For a connection that has just come: the server that serves now."""
        assert self._server is not None
        protocol: asyncio.BaseProtocol = self._server.connect()
        return protocol

    def _connect_quic(self, quic: BoundedQuic, link: Link) -> QuicCall:
        """For a connection of HTTP/3, whichever server serves the others."""
        from vidops.gateway.h3 import QuicCall

        epoch = self._epoch
        call = QuicCall(self._dispatch, self._config, epoch.context, quic, link)
        self._calls.start(self._run(call, epoch.connections), "an HTTP/3 connection")
        return call

    async def _run(self, call: QuicCall, connections: Connections) -> None:
        connections.add(call)
        try:
            await call.run()
        except Exception as error:  # noqa: BLE001 - one connection's end must not be anybody else's
            self._services.log({"level": "warning", "event": "connection_failed", "error": flat(error)})
            call.abort()
        finally:
            connections.discard(call)

    def _staged(self, wanted: GatewaySpec, epoch: Epoch) -> Server:
        """The server that a spec asks for, as it is where there is one already. Raises `PermanentError`."""
        key = fingerprint(wanted.server.model_dump(mode="json"))
        if key not in epoch.servers:
            context = ServerContext(
                app=self._dispatch,
                head_timeout=self.head_timeout,
                connections=epoch.connections,
                log=self._services.log,
                alt_svc=self._listeners.alt_svc,
            )
            epoch.servers[key] = build_server(self._services.catalogue, wanted.server, context)
        return epoch.servers[key]

    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        assert self._dispatcher is not None
        return self._dispatcher(scope, receive, send)


def final_drain(spec: GatewaySpec) -> float:
    """Seconds that requests have at the process's end: with all that comes after, it must be gone by itself before
    its keeper kills it."""
    return min(spec.drain_timeout, max(0.0, spec.program.stop_timeout - AFTER_DRAIN))


def _rss() -> int:
    """Bytes of this process in memory (proc(5), statm)."""
    import resource

    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError as error:
        raise PermanentError(f"/proc is not readable: {error}") from None

"""One accepted connection: Hypercorn's, with strict parsing, a limit on slow heads, and its transport within reach."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from ssl import SSLError
from typing import Any

from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from vidops.asgi import DIRECT
from vidops.gateway import beside
from vidops.gateway.body import INCOMING
from vidops.gateway.config import HEAD_TIMEOUT, LAST_WORDS
from vidops.gateway.direct import TransportStream
from vidops.gateway.exchange import Exchanges
from vidops.gateway.h2 import PlainH2
from vidops.gateway.outflow import ABORT
from vidops.gateway.peer import tls_extension
from vidops.gateway.reply import ALT_SVC
from vidops.gateway.strict import StrictH11, StrictProtocols
from vidops.gateway.tunnel import offer_tunnel
from vidops.gateway.wire import Wire
from vidops.resources.catalogue import ASGIApp, Scope


class Connection(TCPServer):
    """Runs until the connection is over: `await Connection(...).run()`."""

    def __init__(
        self,
        app: ASGIApp,
        config: Config,
        context: WorkerContext,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        head_timeout: float = HEAD_TIMEOUT,
        alt_svc: Callable[[int], bytes | None] = lambda port: None,
    ) -> None:
        loop = asyncio.get_running_loop()
        unused: Any = app  # Hypercorn hands it to `Exchanges.spawn_app`, which has its own
        super().__init__(unused, loop, config, context, {}, reader, writer)
        self._asgi = app
        tls = writer.get_extra_info("ssl_object")
        self._secure = tls is not None
        self._tls = tls_extension(tls) if tls is not None else None
        self._head_timeout = head_timeout
        self._alt_svc = alt_svc
        self._ended = False

    async def run(self) -> None:
        """Hypercorn's `run` with our task group and protocol in its places."""
        try:
            if self.context.terminated.is_set():
                return  # it was in its handshake
            sock = self.writer.get_extra_info("socket")
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            tls = self.writer.get_extra_info("ssl_object")
            group = Exchanges(self.loop, self._asgi, self._prepare)
            async with group:
                self._task_group = group
                self.protocol = StrictProtocols(
                    self.app,
                    self.config,
                    self.context,
                    group,
                    ConnectionState(self.state),
                    self._secure,
                    client,
                    server,
                    self.protocol_send,
                    tls.selected_alpn_protocol() if tls is not None else "http/1.1",
                )
                self._watch_peer(group)
                await self.protocol.initiate()
                await self.idle_task.restart(group, self._idle_timeout)
                await self._read_data()
                group.stop_helpers()
        except OSError:
            pass  # the peer has gone; nothing is left to tell it
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        """Hypercorn's way out. An answer after the client's end leaves nothing to wait for: no other request comes."""
        if self._ended and isinstance(event, Updated) and event.idle:
            event = Closed()
        await super().protocol_send(event)

    async def _close(self) -> None:
        """Hypercorn's, which waits until the client has read all that is left, and for ever for one that does not."""
        dropping = self.loop.call_later(LAST_WORDS, self.abort)
        try:
            await super()._close()
        finally:
            dropping.cancel()

    async def _initiate_server_close(self) -> None:
        """Hypercorn's, for a connection that is idle: it may still have something to read."""
        await super()._initiate_server_close()
        if self.writer.transport.get_write_buffer_size():
            self.loop.call_later(LAST_WORDS, self.abort)

    def _watch_peer(self, group: Exchanges) -> None:
        """Have requests end that their client has left, even where nothing is being read."""

        def gone() -> None:
            group.client_left()
            if isinstance(self.protocol.protocol, StrictH11):
                self.protocol.protocol.give_up()

        wire = self.writer.transport.get_protocol()
        if isinstance(wire, Wire):
            wire.on_gone = gone

    def abort(self) -> None:
        """Drop the connection now."""
        self.writer.transport.abort()

    def _prepare(self, scope: Scope, send: Any) -> None:
        if self._tls is not None:
            scope["extensions"]["tls"] = self._tls
            _, port = scope["server"] or ("", None)
            if port is not None:
                scope[ALT_SVC] = self._alt_svc(port)
        beside.offer(scope)
        offer_tunnel(scope, send)
        protocol = self.protocol.protocol
        scope[ABORT] = self.abort
        if scope["type"] == "http" and isinstance(self.protocol.protocol, StrictH11):
            scope[INCOMING] = self.protocol.protocol
        if isinstance(protocol, PlainH2):
            scope[ABORT] = partial(self._drop, protocol, send.__self__.stream_id)
        if scope["type"] == "http" and not self._secure and scope["http_version"] in ("1.0", "1.1"):
            direct = scope["extensions"][DIRECT] = TransportStream(self.writer.transport, scope["http_version"])
            if isinstance(self.protocol.protocol, StrictH11):
                self.protocol.protocol.direct = direct

    def _drop(self, protocol: PlainH2, stream_id: int) -> None:
        """A stream, or with it the connection, where not even this can be told."""

        async def told(rest: Awaitable[None]) -> None:
            try:
                async with asyncio.timeout(LAST_WORDS):
                    await rest
            except TimeoutError:
                self.abort()

        self._task_group.spawn(told, protocol.drop(stream_id))

    async def _read_data(self) -> None:
        """Feed what comes to the protocol. A head that has begun must end in time; all else may wait."""
        deadline: float | None = None
        while not self.reader.at_eof():
            protocol = self.protocol.protocol
            if isinstance(protocol, StrictH11) and protocol.head_pending:
                deadline = deadline or self.loop.time() + self._head_timeout
            else:
                deadline = None
            try:
                async with asyncio.timeout_at(deadline) if deadline else contextlib.nullcontext():
                    data = await self.reader.read(MAX_RECV)
            except TimeoutError:
                if isinstance(protocol, StrictH11):
                    await protocol.refuse(408, "the head of the request came too slowly")
                break
            except (OSError, SSLError):
                break
            try:
                await self.protocol.handle(RawData(data))
            except ConnectionResetError:
                break
        self._ended = True
        await self.protocol.handle(Closed())
        # Or the group would wait with it for a request that can no longer come.
        await self.idle_task.stop()

"""One request in flight: its task, and what ends it when its client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.config import Config

from vidops.gateway import beside
from vidops.resources.catalogue import ASGIApp, Message, Scope, Send

LEAVING_GRACE = 1.0
"""Seconds that an application has to notice its client's leaving by itself, before it is cancelled."""
_LEAVING = ("http.disconnect", "websocket.disconnect")


class Exchange:
    """`put` takes the messages that the application's `receive` gives."""

    def __init__(self, limit: int) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue(limit)
        self.task: asyncio.Task[Any] | None = None
        self._over = False
        self._leaving: asyncio.Handle | None = None

    async def put(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] in _LEAVING:
            self.client_left()
            # Whoever says so has other requests to look after, and this one may read nothing any more.
            queue: Any = self.queue
            queue._maxsize = 0
        await self.queue.put(message)

    def client_left(self) -> None:
        """Cancel the application if it is still there after the grace."""
        if self.task is not None and self._leaving is None and not self._over:
            self._leaving = self.task.get_loop().call_later(LEAVING_GRACE, self.task.cancel)

    def given_up(self) -> None:
        """Its client does not want it any more, and may be there with others: it is cancelled at once."""
        if self.task is not None and self._leaving is None and not self._over:
            self._leaving = self.task.get_loop().call_soon(self.task.cancel)  # a task that has not begun cannot tidy up

    def sender(self, scope: Scope, send: Callable[[Any], Awaitable[None]]) -> Send:
        """ASGI's `send`. After its client has gone, Hypercorn drops what it is given without a wait: an application
        that does nothing but send would let nobody else have a turn, and not hear that it is cancelled."""
        stream: Any = getattr(send, "__self__", None)

        async def sent(message: Message) -> None:
            if self._leaving is not None:
                await asyncio.sleep(0)
            if beside.passes_by(scope, message):
                await beside.send(stream, message)
            else:
                await send(message)

        return sent

    def end(self) -> None:
        """The application has returned. Whoever waits to put something in goes on."""
        self._over = True
        if self._leaving is not None:
            self._leaving.cancel()
        while not self.queue.empty():
            self.queue.get_nowait()


class Exchanges(TaskGroup):
    """A connection's task group: requests run as its tasks, each ended soon after its client left.

    Hypercorn tells an application that its client left only when the application asks; one that waits for a
    camera, a lock or an upstream does not ask.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, app: ASGIApp, prepare: Callable[[Scope, Any], None]) -> None:
        super().__init__(loop)
        self._app = app
        self._prepare = prepare
        self._running: set[Exchange] = set()
        self._helpers: set[asyncio.Task[Any]] = set()

    def spawn(self, func: Callable[..., Any], *args: Any) -> None:
        """Hypercorn's entry for what a connection needs besides its requests (pings, HTTP/2's sender)."""
        task = self._task_group.create_task(func(*args))
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    @property
    def running(self) -> int:
        return len(self._running)

    def stop_helpers(self) -> None:
        """The connection is over: without this, a pause between pings would hold it in memory."""
        for task in self._helpers:
            task.cancel()

    def client_left(self) -> None:
        """The connection is gone, and every request's client with it."""
        for exchange in self._running:
            exchange.client_left()

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Hypercorn's entry: returns the function that takes the messages for `receive`."""
        exchange = Exchange(config.max_app_queue_size)
        self._prepare(scope, send)
        self._running.add(exchange)
        exchange.task = self._task_group.create_task(self._run(exchange, scope, send))
        return exchange.put

    async def _run(self, exchange: Exchange, scope: Scope, send: Callable[[Any], Awaitable[None]]) -> None:
        try:
            await self._app(scope, exchange.queue.get, exchange.sender(scope, send))
        finally:
            exchange.end()
            self._running.discard(exchange)
            await send(None)  # Hypercorn's word for "the application has returned"

"""One request in flight: its task, and what ends it when its client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.config import Config

from vidops.resources.catalogue import ASGIApp, Message, Scope, Send

LEAVING_GRACE = 1.0
"""Seconds that an application has to notice its client's leaving by itself, before it is cancelled."""


class Exchanges(TaskGroup):
    """A connection's task group: requests run as its tasks, each ended soon after its client left.

    Hypercorn tells an application that its client left only when the application asks; one that waits for a
    camera, a lock or an upstream does not ask.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, app: ASGIApp, prepare: Callable[[Scope], None]) -> None:
        super().__init__(loop)
        self._app = app
        self._prepare = prepare

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Hypercorn's entry: returns the function that takes the messages for `receive`."""
        queue: asyncio.Queue[Message] = asyncio.Queue(config.max_app_queue_size)
        self._prepare(scope)
        task = self._task_group.create_task(self._run(scope, queue, send))

        async def put(message: Message) -> None:
            if task.done():
                return
            if message["type"] in ("http.disconnect", "websocket.disconnect"):
                self._loop.call_later(LEAVING_GRACE, task.cancel)
            await queue.put(message)

        return put

    async def _run(self, scope: Scope, queue: asyncio.Queue[Message], send: Callable[[Any], Awaitable[None]]) -> None:
        app_send: Send = send
        try:
            await self._app(scope, queue.get, app_send)
        finally:
            await send(None)  # Hypercorn's word for "the application has returned"

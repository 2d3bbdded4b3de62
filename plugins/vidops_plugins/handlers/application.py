"""`quart`: an application of your own, Quart's or any other ASGI application, inside the gateway.

Its root is where its route is. It starts with its route and ends with it. It runs in the gateway's process:
what blocks there blocks every stream, so heavy work belongs behind `proxy`.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import Annotated, Any

from pydantic import Field

from vidops.api import ASGIApp, GatewayContext, Message, Options, PermanentError, Receive, Scope, Send
from vidops_plugins.handlers.own_modules import import_from

START_TIMEOUT = 9.0
"""Seconds that it has to start, and to end: less than the ten after which the gateway gives up, and cannot say why."""


class Application(Options):
    """Your own Quart or ASGI application, by its import path."""

    app: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?$")]
    """`package.module:name`; with `()` behind it a function that makes the application."""
    directory: str | None = None
    """Where it is imported from, relative to the stack file; else only what is installed. Modules of two applications
    may have the same name in two directories."""


def load(path: str, directory: str | None) -> Any:
    """Raises `PermanentError` with what is wrong."""
    module_name, _, name = path.partition(":")
    try:
        found: Any = import_from(module_name, directory) if directory else importlib.import_module(module_name)
        for part in name.removesuffix("()").split("."):
            found = getattr(found, part)
        if name.endswith("()"):
            found = found()
    except (Exception, SystemExit) as error:  # somebody else's code, which may want the process to end
        raise PermanentError(f"{path}: {type(error).__name__}: {error}", reason="NoApplication") from error
    if not callable(found):
        raise PermanentError(f"{path} is no application: it cannot be called", reason="NoApplication")
    return found


class Lifespan:
    """ASGI's lifespan of one application. One that does not speak it has none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._asked: asyncio.Queue[Message] = asyncio.Queue()
        self.starting = True
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Raises `PermanentError` where it says that it failed."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.create_task(self._run(scope), name="an application's lifespan")
        try:
            await self._ask("startup")
        except BaseException:
            # What did not start is not asked to end.
            self._task.cancel()
            raise
        self.starting = False

    async def stop(self) -> None:
        if self._task is not None and not self.starting and not self._task.done():
            try:
                await self._ask("shutdown")
            finally:
                self._task.cancel()

    async def _run(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._asked.get, self._said.put)
            # One that just returns does not speak it either.
            self._said.put_nowait({"type": "unsupported", "message": ""})
        except SystemExit as error:
            # Out of a task it would end the gateway.
            step = "startup" if self.starting else "shutdown"
            self._said.put_nowait({"type": f"lifespan.{step}.failed", "message": repr(error)})
        except Exception as error:  # noqa: BLE001 - it may not speak lifespan, and says so by raising
            self._said.put_nowait({"type": "unsupported", "message": repr(error)})

    async def _ask(self, what: str) -> None:
        self._asked.put_nowait({"type": f"lifespan.{what}"})
        try:
            async with asyncio.timeout(START_TIMEOUT):
                answer = await self._said.get()
        except TimeoutError:
            raise PermanentError(f"the application's {what} takes longer than {START_TIMEOUT:g}s") from None
        if answer["type"] == f"lifespan.{what}.failed":
            raise PermanentError(f"the application's {what} failed: {answer.get('message', '')}")


def build(options: Application, context: GatewayContext) -> ASGIApp:
    directory = None if options.directory is None else os.path.join(context.base_dir, options.directory)
    app = load(options.app, directory)
    life = Lifespan(app)
    context.started.append(life.start)
    context.stopped.append(life.stop)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        mount = path.removesuffix(f"/{scope['vidops.rest']}").rstrip("/")
        # What is ours of the scope is none of its business. `path` begins with `root_path`, as ASGI has it.
        inner = {key: value for key, value in scope.items() if not key.startswith("vidops.")}
        try:
            await app({**inner, "root_path": mount, "state": dict(life.state)}, receive, send)
        except SystemExit as error:
            raise RuntimeError(f"the application wants the process to end: {error!r}") from error

    return serve

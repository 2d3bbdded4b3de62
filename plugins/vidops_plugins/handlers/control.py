"""A WebSocket for those who want to know at once: cameras as they change, and commands with answers. JSON both ways.

    {"id": 1, "op": "subscribe"}                      {"id": 1, "ok": true, "token": T, "devices": [...]}
    {"id": 1, "op": "subscribe", "since": T}          {"id": 1, "ok": true, "token": T}, then what was missed
                                                      {"event": "device", "token": T, "device": {...}}
                                                      {"event": "removed", "token": T, "name": "door"}
    {"id": 2, "op": "capture_start", "name": "x"}     {"id": 2, "ok": true, "captures": [...]}
    {"id": 3, "op": "capture_stop", "name": "x"}      {"id": 3, "ok": false, "reason": "NotOnDemand", "error": "..."}
    {"id": 4, "op": "ping"}                           {"id": 4, "ok": true}
    {"id": 5, "op": "controls", "name": "door"}       {"id": 5, "ok": true, "controls": [...], "modes": [...], ...}
    {"id": 6, "op": "set_controls", "name": "door", "values": {"brightness": 128}}
                                                      {"id": 6, "ok": false, "reason": "ControlRefused", "error": "..."}
    {"id": 7, "op": "camera_start", "name": "door"}   {"id": 7, "ok": true, "device": {...}}; camera_stop likewise

A token says how far one has come; with one that is too old (or of another gateway's life) the whole is told anew.
Reading slowly costs nothing: what changed waits in one log for all. `id` is a text or a number of the asker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Message,
    Options,
    Receive,
    Scope,
    Send,
    VidopsError,
    json_bytes,
    may_see,
    respond_problem,
)
from vidops_plugins.handlers import camera_commands
from vidops_plugins.handlers.captures import turn
from vidops_plugins.handlers.footage import same_site

LOG = 1000
"""Changes that are remembered for those who come again."""
LARGEST = 64 * 1024
MOST_MISTAKES = 20
MOST_UNREAD = 100
"""Answers that may wait for one who asks and does not listen."""
SEND_TIMEOUT = 15.0
"""Seconds that a message may take to be sent before its reader is taken for dead."""
COMMANDS = {"capture_start": "start", "capture_stop": "stop"}
CAMERA_COMMANDS = ("set_controls", "camera_start", "camera_stop")


class Control(Options):
    """A WebSocket for changes of cameras, and for commands."""

    writable: bool = False
    """Whether commands are taken, from whoever the route's chain lets in."""


class Log:
    """What changed of the cameras, numbered, for all who listen."""

    def __init__(self, context: GatewayContext) -> None:
        self._context = context
        self._life = secrets.token_hex(4)
        self._changes: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=LOG)
        self._task: asyncio.Task[None] | None = None
        self.count = 0
        self.grown = asyncio.Event()
        """Set, and replaced by another, whenever there is more."""

    async def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="watch cameras")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        changes = self._context.cameras.watch()
        async for change in changes:
            self.count += 1
            self._changes.append((self.count, change))
            grown, self.grown = self.grown, asyncio.Event()
            grown.set()

    def token(self, count: int) -> str:
        return f"{self._life}-{count}"

    def position(self, token: object) -> int | None:
        """How far somebody has come; None where that is not known any more."""
        life, _, number = str(token)[:40].partition("-")
        if life != self._life or not number.isascii() or not number.isdigit():
            return None
        count = int(number)
        return count if self._oldest() - 1 <= count <= self.count else None

    def since(self, count: int) -> list[tuple[int, Mapping[str, Any]]] | None:
        """What came after; None where some of it is forgotten."""
        if count < self._oldest() - 1:
            return None
        return [entry for entry in self._changes if entry[0] > count]

    def _oldest(self) -> int:
        return self._changes[0][0] if self._changes else self.count + 1


class Session:
    """One connection. `answers`: what is to be sent besides changes; `position`: the last change that was sent."""

    def __init__(
        self, scope: Scope, context: GatewayContext, log: Log, *, writable: bool, patience: float = SEND_TIMEOUT
    ) -> None:
        self._patience = patience
        self._scope = scope
        self._context = context
        self._log = log
        self._writable = writable
        self._mistakes = 0
        self._answers: deque[dict[str, Any]] = deque()
        self._some = asyncio.Event()
        self._position: int | None = None

    async def read(self, receive: Receive) -> int:
        """Take requests, one after the other, until the client leaves; the code to close with."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return 1000
            text = message.get("text")
            if text is None or len(text) > LARGEST:
                return 1003 if text is None else 1009
            self._answer(await self._serve(text))
            if self._mistakes >= MOST_MISTAKES or len(self._answers) > MOST_UNREAD:
                return 1008

    def _answer(self, answer: dict[str, Any]) -> None:
        self._answers.append(answer)
        self._some.set()

    async def _serve(self, text: str) -> dict[str, Any]:
        try:
            request = json.loads(text)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict) or not _is_id(request.get("id")):
            return self._mistake(None, "a message is a JSON object with an `id` (a short text or a number) and an `op`")
        number, operation, name = request["id"], request.get("op"), request.get("name")
        if operation == "ping":
            return {"id": number, "ok": True}
        if operation == "subscribe":
            return {"id": number, "ok": True, **self._subscribe(request.get("since"))}
        known = ("subscribe", "ping", "controls", *CAMERA_COMMANDS, *COMMANDS)
        if operation not in known or not isinstance(name, str):
            return self._mistake(number, f"op is one of {', '.join(known)}; commands have a `name`")
        if operation != "controls" and not self._writable:
            return _refused(number, "ReadOnly", "this gateway takes no commands here: its handler is not `writable`")
        try:
            done = await self._do(str(operation), name, request.get("values"))
        except VidopsError as error:
            return _refused(number, str(getattr(error, "reason", "")), str(error))
        return {"id": number, "ok": True, **done}

    async def _do(self, operation: str, name: str, values: object) -> Mapping[str, Any]:
        """Raises `VidopsError` with the reason where it is refused."""
        scope, context = self._scope, self._context
        match operation:
            case "controls":
                return await camera_commands.told(scope, context, name)
            case "set_controls":
                return await camera_commands.set_controls(scope, context, name, values)
            case "camera_start" | "camera_stop":
                on = operation == "camera_start"
                return {"device": await camera_commands.hold(scope, context, name, on=on)}
        return await turn(scope, context, name, COMMANDS[operation])

    def _mistake(self, number: object, error: str) -> dict[str, Any]:
        self._mistakes += 1
        return _refused(number, "BadRequest", error)

    def _subscribe(self, since: object) -> dict[str, Any]:
        known = self._log.position(since) if since is not None else None
        self._position = self._log.count if known is None else known
        token = self._log.token(self._position)
        return {"token": token, "devices": self._devices()} if known is None else {"token": token}

    def _devices(self) -> list[dict[str, Any]]:
        return [dict(s) for s in self._context.cameras.states() if may_see(self._scope, str(s["name"]))]

    async def write(self, send: Send) -> None:
        """Send answers, and changes once subscribed, for ever. Raises `TimeoutError` where nobody takes them."""
        while True:
            grown = self._log.grown
            self._some.clear()
            while self._answers:
                await self._send(send, self._answers.popleft())
            await self._changes(send)
            if self._answers:
                continue
            waiting = [asyncio.ensure_future(e.wait()) for e in (self._some, grown)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()

    async def _send(self, send: Send, message: Mapping[str, Any]) -> None:
        async with asyncio.timeout(self._patience):
            await send({"type": "websocket.send", "text": json_bytes(dict(message)).decode().rstrip()})

    async def _changes(self, send: Send) -> None:
        if self._position is None:
            return
        found = self._log.since(self._position)
        if found is None:
            # It read too slowly for the log: it is told the whole.
            self._position = self._log.count
            token = self._log.token(self._position)
            await self._send(send, {"event": "snapshot", "token": token, "devices": self._devices()})
            return
        for number, change in found:
            self._position = number
            name = str(change["removed"] if "removed" in change else change["camera"]["name"])
            if may_see(self._scope, name):
                told = {"name": name} if "removed" in change else {"device": change["camera"]}
                event = "removed" if "removed" in change else "device"
                await self._send(send, {"event": event, "token": self._log.token(number), **told})


def build(options: Control, context: GatewayContext) -> ASGIApp:
    log = Log(context)
    context.started.append(log.start)
    context.stopped.append(log.stop)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            upgrade = [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
            await respond_problem(scope, send, 426, "this path is a WebSocket", headers=upgrade)
            return
        if not same_site(scope):
            await respond_problem(scope, send, 403, "another site's page may not do this", reason="CrossSite")
            return
        message: Message = await receive()
        if message["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        session = Session(scope, context, log, writable=options.writable)
        code = await _until_over(session, receive, send, context)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT):
                await send({"type": "websocket.close", "code": code})

    return app


async def _until_over(session: Session, receive: Receive, send: Send, context: GatewayContext) -> int:
    """Serve one connection until the client leaves or breaks the rules, or the route leaves service."""
    reading = asyncio.create_task(session.read(receive))
    writing = asyncio.create_task(session.write(send))
    closing = asyncio.ensure_future(context.closing.wait())
    tasks = {reading, writing, closing}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if not reading.cancelled():
        return reading.result()
    if not writing.cancelled():
        # One that takes nothing is gone; anything else is a mistake of ours.
        with contextlib.suppress(TimeoutError):
            writing.result()
        return 1008
    return 1001


def _is_id(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53) or (
        isinstance(value, str) and 0 < len(value) <= 64
    )


def _refused(number: object, reason: str, error: str) -> dict[str, Any]:
    return {"id": number, "ok": False, "reason": reason, "error": error}

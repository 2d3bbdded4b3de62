"""Handlers and middleware that tests put into routes: what a third party might write, good and bad."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from vidops.api import (
    ASGIApp,
    GatewayContext,
    HandlerType,
    MiddlewareType,
    Options,
    Receive,
    Scope,
    Send,
    TemporaryError,
    respond,
    respond_json,
)
from vidops.resources.catalogue import Catalogue
from vidops.runtime.plugins import load_catalogue


class Nothing(Options):
    pass


class Text(Options):
    text: str = ""


class Size(Options):
    size: int = 0


class Seconds(Options):
    seconds: float = 0.0


class Probe:
    """What the handlers below did."""

    def __init__(self) -> None:
        self.built = 0
        self.stopped: list[str] = []
        self.cancelled = 0
        self.running = 0
        self.sent = 0
        self.release = asyncio.Event()


def catalogue(probe: Probe) -> Catalogue:
    def slow(options: Seconds, context: GatewayContext) -> ASGIApp:
        """Answers late, and never looks whether its client is there."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            probe.running += 1
            try:
                await asyncio.sleep(options.seconds)
            except asyncio.CancelledError:
                probe.cancelled += 1
                raise
            finally:
                probe.running -= 1
            await respond(scope, send, 200, b"late")

        return app

    def raising(options: Text, context: GatewayContext) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if options.text == "temporary":
                raise TemporaryError("the upstream is away", reason="UpstreamDown")
            if options.text == "late":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            raise RuntimeError(f"secret detail {options.text}")

        return app

    def counting(options: Text, context: GatewayContext) -> ASGIApp:
        """Counts its requests, in memory that a rebuilt one would have lost."""
        probe.built += 1
        count = 0

        async def stopped() -> None:
            probe.stopped.append(options.text)

        context.stopped.append(stopped)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal count
            count += 1
            await respond(scope, send, 200, f"{options.text}{count}".encode())

        return app

    def unstartable(options: Text, context: GatewayContext) -> ASGIApp:
        async def started() -> None:
            if options.text == "hangs":
                await asyncio.sleep(3600)
            raise OSError("no upstream today")

        context.started.append(started)
        return counting(options, context)

    def unbuildable(options: Text, context: GatewayContext) -> ASGIApp:
        raise ValueError("cannot be built")

    def upload(options: Nothing, context: GatewayContext) -> ASGIApp:
        """Reads the whole body and says how much it was."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            size, more = 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                size += len(message["body"])
                more = message["more_body"]
            await respond(scope, send, 200, b"%d" % size)

        return app

    def echo(options: Nothing, context: GatewayContext) -> ASGIApp:
        """A WebSocket that says what it is told, and leaves with its route."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            closing = asyncio.ensure_future(context.closing.wait())
            while True:
                coming = asyncio.ensure_future(receive())
                await asyncio.wait({closing, coming}, return_when=asyncio.FIRST_COMPLETED)
                if closing.done():
                    coming.cancel()
                    await send({"type": "websocket.close", "code": 1001})
                    return
                message = await coming
                if message["type"] == "websocket.disconnect":
                    closing.cancel()
                    return
                await send({"type": "websocket.send", "text": message["text"]})

        return app

    def mark(options: Text, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
        """Adds its text to a header on the way in."""

        def wrap(app: ASGIApp) -> ASGIApp:
            async def marked(scope: Scope, receive: Receive, send: Send) -> None:
                headers = [*scope["headers"], (b"x-mark", options.text.encode())]
                await app({**scope, "headers": headers}, receive, send)

            return marked

        return wrap

    def marks(options: Nothing, context: GatewayContext) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await respond(scope, send, 200, b",".join(v for n, v in scope["headers"] if n == b"x-mark"))

        return app

    def flood(options: Size, context: GatewayContext) -> ASGIApp:
        """Gives out so many bytes, and counts what was taken."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            probe.running += 1
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                for _ in range(options.size // 65536):
                    await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
                    probe.sent += 65536
                await send({"type": "http.response.body", "body": b""})
            except asyncio.CancelledError:
                probe.cancelled += 1
                raise
            finally:
                probe.running -= 1

        return app

    def dropping(options: Nothing, context: GatewayContext) -> ASGIApp:
        """Drops its own request in the middle of the answer, as is done with those who read too slowly."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            scope["vidops.abort"]()
            await send({"type": "http.response.body", "body": b"never", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                continue
            probe.cancelled += 1

        return app

    def stubborn(options: Nothing, context: GatewayContext) -> ASGIApp:
        """Stays when it is cancelled, until it is released."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            probe.running += 1
            while not probe.release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await probe.release.wait()
            probe.running -= 1

        return app

    def seen(options: Nothing, context: GatewayContext) -> ASGIApp:
        """What a handler is told of a request."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            names = ("http_version", "scheme", "server", "client", "path", "extensions")
            told = {name: scope[name] for name in names}
            told["headers"] = [[n.decode(), v.decode()] for n, v in scope["headers"]]
            await respond_json(scope, send, told, headers=[(b"alt-svc", b'h3=":1"')])

        return app

    known = load_catalogue()
    ours: list[Any] = [
        HandlerType("slow", Seconds, slow),
        HandlerType("raising", Text, raising),
        HandlerType("counting", Text, counting),
        HandlerType("unstartable", Text, unstartable),
        HandlerType("unbuildable", Text, unbuildable),
        HandlerType("upload", Nothing, upload),
        HandlerType("echo", Nothing, echo),
        HandlerType("flood", Size, flood),
        HandlerType("seen", Nothing, seen),
        HandlerType("dropping", Nothing, dropping),
        HandlerType("stubborn", Nothing, stubborn),
        HandlerType("marks", Nothing, marks),
        MiddlewareType("mark", Text, mark),
    ]
    return Catalogue.of([*known.handlers.values(), *known.middleware.values(), *known.servers.values(), *ours])

"""An example of a third party's plugin. It imports `vidops.api`, and nothing else of vidops."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal

from vidops.api import (
    FFMPEG,
    ASGIApp,
    Device,
    GatewayContext,
    HandlerType,
    Message,
    MiddlewareType,
    Options,
    Program,
    Receive,
    Scope,
    Send,
    SourceBuild,
    SourceContext,
    SourceType,
    hookimpl,
)


class Bars(Device):
    """Colour bars."""

    source: Literal["acme_bars"]


def build_bars(options: Bars, context: SourceContext) -> SourceBuild:
    size = options.mode.video_size or "160x120"
    argv = (FFMPEG, "-v", "warning", "-re", "-f", "lavfi", "-i", f"smptebars=size={size}:rate=10")
    return SourceBuild(Program(argv=(*argv, "-f", "mpjpeg", context.output)), description={"device_name": "Bars"})


class Stamp(Options):
    """Adds a header to every answer."""

    text: str = "acme"
    """Its value."""


def build_stamp(options: Stamp, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    def wrap(app: ASGIApp) -> ASGIApp:
        async def stamped(scope: Scope, receive: Receive, send: Send) -> None:
            async def stamping(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", ()), (b"x-acme", options.text.encode())]
                await send(message)

            await app(scope, receive, stamping)

        return stamped

    return wrap


class Names(Options):
    """Tells the names of all cameras."""


def build_names(options: Names, context: GatewayContext) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = json.dumps([state["name"] for state in context.cameras.states()]).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


@hookimpl
def vidops_sources() -> Sequence[SourceType]:
    return [SourceType("acme_bars", Bars, build_bars, summary="Colour bars.")]


@hookimpl
def vidops_middleware() -> Sequence[MiddlewareType]:
    return [MiddlewareType("acme_stamp", Stamp, build_stamp, summary="Adds a header.")]


@hookimpl
def vidops_handlers() -> Sequence[HandlerType]:
    return [HandlerType("acme_names", Names, build_names, summary="Names of all cameras.")]

"""How much a route takes: the size of bodies and heads, how long they may take to come, how many requests run, and how
long one may be thought about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from vidops.api import (
    ASGIApp,
    GatewayContext,
    Message,
    Options,
    PositiveDuration,
    Receive,
    Scope,
    Send,
    Size,
    header,
    respond_problem,
)

MOST_DIGITS = 20
"""Of a length; a longer one is larger than anything."""


class Limits(Options):
    """Refuses larger bodies (413) and heads (431), slow ones (408), more requests at a time and slow answers (503)."""

    max_body: Size = "16MiB"  # type: ignore[assignment]
    """Largest body of a request, in the place of the gateway's own limit of 16 MiB; where several say one, the
    smallest."""
    body_time: PositiveDuration | None = None
    """How long a body may be waited for in all, besides the two seconds that each kilobyte is given; 20s without it."""
    max_headers: Size | None = None
    """Largest header of a request, names and values together; the gateway itself takes 32 KiB."""
    answer_time: PositiveDuration | None = None
    """How long it may take until an answer begins. Streams may go on for ever once they have."""
    max_concurrent: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests of the route that run at a time, streams included."""


class Running:
    """Requests that run now, also those of a route as it was before an edit."""

    def __init__(self) -> None:
        self.count = 0


def build(options: Limits, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    running = context.keep("limits", Running)

    def wrap(app: ASGIApp) -> ASGIApp:
        async def limited(scope: Scope, receive: Receive, send: Send) -> None:
            length = header(scope, b"content-length")
            if length is not None and (
                not length.isdigit() or len(length) > MOST_DIGITS or int(length) > options.max_body
            ):
                await respond_problem(scope, send, 413, f"the body is larger than {options.max_body} bytes")
                return
            if options.max_headers is not None and head_size(scope) > options.max_headers:
                await respond_problem(scope, send, 431, f"the header is larger than {options.max_headers} bytes")
                return
            if options.max_concurrent is not None and running.count >= options.max_concurrent:
                retry = [(b"retry-after", b"1")]
                detail = f"{options.max_concurrent} requests are running already"
                await respond_problem(scope, send, 503, detail, reason="TooManyRequests", headers=retry)
                return
            if "vidops.body" in scope:
                # The gateway counts what is read; a body without a length is known by that alone.
                scope["vidops.body"].narrow(options.max_body)
                if options.body_time is not None:
                    scope["vidops.body"].grace = options.body_time
            running.count += 1
            try:
                if options.answer_time is None or scope["type"] != "http":
                    await app(scope, receive, send)
                else:
                    await _in_time(app, scope, receive, send, options.answer_time)
            finally:
                running.count -= 1

        return limited

    return wrap


def alone(options: Limits) -> str:
    """Why it needs to see all requests; empty where it does not."""
    return "" if options.max_concurrent is None else "max_concurrent counts the requests of one process"


def head_size(scope: Scope) -> int:
    """Bytes of a request's header fields, names and values."""
    return sum(len(name) + len(value) for name, value in scope["headers"])


async def _in_time(app: ASGIApp, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
    """Run an application that has to begin its answer within so many seconds."""
    begun = False
    timer = asyncio.timeout(seconds)

    async def answer(message: Message) -> None:
        nonlocal begun
        if not begun:
            begun = True
            timer.reschedule(None)
        await send(message)

    try:
        async with timer:
            await app(scope, receive, answer)
    except TimeoutError:
        if begun or not timer.expired():
            raise
        detail = f"no answer has begun within {seconds:g}s"
        await respond_problem(scope, send, 503, detail, reason="TooSlow", headers=[(b"retry-after", b"1")])

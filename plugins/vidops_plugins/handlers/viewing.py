"""One viewer of a camera, from the first frame to the last, over the transport or through `send`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from vidops.api import (
    GatewayContext,
    PermanentError,
    Receive,
    Scope,
    Send,
    TemporaryError,
    VidopsError,
    direct_of,
    respond_problem,
    until_disconnect,
)
from vidops_plugins.handlers.fanout import AS_IT_IS, BOUNDARY, PREAMBLE, STALL_TIMEOUT, Shape, Viewer, fanout_of

CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
HEADERS = (
    (b"cache-control", b"no-store, no-transform"),
    (b"pragma", b"no-cache"),
    # Proxies in front must not collect frames before they pass them on.
    (b"x-accel-buffering", b"no"),
)


class Endable(Protocol):
    """A viewer of any kind."""

    def end(self, error: VidopsError | None) -> None: ...


async def watch(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    camera: str,
    patience: float,
    context: GatewayContext,
    shape: Shape = AS_IT_IS,
) -> None:
    """Serve one viewer until it leaves, its camera is removed, or the route leaves service.

    `patience`: seconds to wait for the first frame of a camera that says nothing of what keeps it.
    """
    viewer = Viewer()
    source = fanout_of(context.cameras, camera, shape)
    source.attach(viewer)
    try:
        async with ended_by(viewer, context, receive):
            try:
                async with asyncio.timeout(patience):
                    await _first(viewer)
            except TimeoutError:
                viewer.error = TemporaryError(f"camera {camera}: no frame within {patience:g}s", reason="StartTimeout")
            if viewer.error is not None:
                status = 404 if isinstance(viewer.error, PermanentError) else 503
                retry = [] if status == 404 else [(b"retry-after", b"2")]
                reason = getattr(viewer.error, "reason", "")
                await respond_problem(scope, send, status, str(viewer.error), reason=reason, headers=retry)
            elif viewer.part is not None:
                await _show(viewer, scope, send)
    finally:
        source.detach(viewer)


async def _first(viewer: Viewer) -> None:
    """Return once there is a frame, or a reason for none."""
    while viewer.part is None and viewer.error is None and not viewer.over:
        viewer.wake.clear()
        await viewer.wake.wait()


@contextlib.asynccontextmanager
async def ended_by(viewer: Endable, context: GatewayContext, receive: Receive) -> AsyncIterator[None]:
    """End the viewer when the client leaves or the route does."""
    loop = asyncio.get_running_loop()
    watching = [loop.create_task(until_disconnect(receive)), loop.create_task(context.closing.wait())]
    for task in watching:
        task.add_done_callback(lambda _: viewer.end(None))
    try:
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
    for task in watching:
        if not task.cancelled():
            task.result()  # a body that nobody asked for may have been refused


async def _show(viewer: Viewer, scope: Scope, send: Send) -> None:
    """Frames until the end, over the transport where that is possible."""
    direct = direct_of(scope)
    if direct is not None:
        direct.claim()
    headers = [(b"content-type", CONTENT_TYPE.encode()), *HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if direct is not None and direct.opened:
        viewer.go_direct(direct)
        while not viewer.over:
            viewer.wake.clear()
            await viewer.wake.wait()
        return
    # A viewer that takes nothing for too long is dropped, as on the transport.
    with contextlib.suppress(TimeoutError):
        await _send(send, PREAMBLE)
        while not viewer.over:
            part, viewer.part = viewer.part, None
            if part is not None:
                await _send(send, part)
            else:
                viewer.wake.clear()
                await viewer.wake.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, data: bytes) -> None:
    async with asyncio.timeout(STALL_TIMEOUT):
        await send({"type": "http.response.body", "body": data, "more_body": True})

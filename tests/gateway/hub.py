"""As much of a hub as a gateway talks to: it watches and subscribes, and every camera delivers at a steady rate."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from vidops.resources.layout import Layout
from vidops.runtime.hubwire import FRAME, STATE, encode_line, message_head

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 80 + b"\xff\xd9"
"""20 kB, a usual size at 640x480."""


class SmallHub:
    """Serves on the real hub's socket. `subscribers` counts by camera, `delivered` every frame sent."""

    def __init__(self, cameras: Sequence[str], rate: float = 30.0, jpeg: bytes = JPEG) -> None:
        self.cameras = list(cameras)
        self.rate = rate
        self.jpeg = jpeg
        self.subscribers: dict[str, int] = dict.fromkeys(cameras, 0)
        self.delivered = 0

    def state(self, camera: str) -> dict[str, Any]:
        return {"name": camera, "state": "Online", "reason": "Online", "message": "", "viewers": 0}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                request = json.loads(line)
                if request["op"] == "subscribe":
                    await self._deliver(request["camera"], writer)
                    break
                writer.write(encode_line({"ok": True, "cameras": [self.state(c) for c in self.cameras]}))
        writer.close()

    async def _deliver(self, camera: str, writer: asyncio.StreamWriter) -> None:
        if camera not in self.cameras:
            writer.write(encode_line({"ok": False, "reason": "UnknownCamera", "error": f"there is no camera {camera}"}))
            return
        state = json.dumps(self.state(camera)).encode()
        writer.write(encode_line({"ok": True}) + message_head(STATE, len(state)) + state)
        self.subscribers[camera] += 1
        clock = asyncio.get_running_loop().time
        began, sequence = clock(), 0
        try:
            while not writer.is_closing():
                sequence += 1
                await asyncio.sleep(max(0.0, began + sequence / self.rate - clock()))
                writer.write(message_head(FRAME, len(self.jpeg), sequence, time.time()) + self.jpeg)
                self.delivered += 1
                await writer.drain()
        finally:
            self.subscribers[camera] -= 1


@contextlib.asynccontextmanager
async def small_hub(layout: Layout, *cameras: str, rate: float = 30.0, jpeg: bytes = JPEG) -> AsyncIterator[SmallHub]:
    hub = SmallHub(cameras, rate, jpeg)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):  # asyncio would log it as an error
            await hub.serve(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_unix_server(serve, layout.hub_socket)
    try:
        yield hub
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

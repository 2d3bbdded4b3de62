"""Where a source delivers: `in/<camera>.sock`."""

from __future__ import annotations

import asyncio
from typing import cast

from vidops.hub.camera import Camera
from vidops.hub.multipart import BrokenStreamError, MultipartParser


class Ingest(asyncio.Protocol):
    """One connection of a source."""

    def __init__(self, camera: Camera, max_frame: int) -> None:
        self.camera = camera
        self.parser = MultipartParser(max_frame)
        self.transport: asyncio.Transport | None = None
        self.why = "its source closed the connection"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.camera.connected(self.close)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self.parser.feed(data):
                self.camera.deliver(frame)
        except BrokenStreamError as error:
            self.camera.drops += 1
            self.camera.last_drop = self.why = str(error)
            self.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.camera.disconnected(self.close, self.why)

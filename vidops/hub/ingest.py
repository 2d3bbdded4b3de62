"""Where a source delivers: `in/<camera>.sock`."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from vidops.hub.camera import Camera
from vidops.hub.multipart import BrokenStreamError, MultipartParser, TooLarge
from vidops.hub.sockets import peer_pid

log = logging.getLogger("vidops.hub")


class Ingest(asyncio.Protocol):
    """One connection of a source."""

    def __init__(self, camera: Camera) -> None:
        self.pid = 0
        self._camera = camera
        self._parser = MultipartParser(camera.max_frame)
        self._transport: asyncio.Transport | None = None
        self._why = "its source closed the connection"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.pid = peer_pid(transport)
        if refusal := self._camera.admit(self):
            log.warning("camera %s: process %d wants to deliver and may not: %s", self._camera.name, self.pid, refusal)
            self.close()

    def data_received(self, data: bytes) -> None:
        camera = self._camera
        if camera.inlet is not self:
            return
        try:
            for part in self._parser.feed(data):
                if isinstance(part, TooLarge):
                    camera.drop("TooLarge", f"a frame of {part.length} bytes is larger than {camera.max_frame}")
                else:
                    camera.deliver(part)
        except BrokenStreamError as error:
            self._why = f"its source sent no multipart JPEG: {error}"
            camera.drop("NotMultipart", str(error))
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._camera.left(self, self._why)

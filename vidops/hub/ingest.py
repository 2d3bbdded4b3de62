"""Where a source delivers: `in/<camera>.sock`."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from vidops.hub.camera import Camera
from vidops.hub.multipart import BrokenStreamError, MultipartParser, TooLarge
from vidops.hub.sockets import peer_pid
from vidops.runtime.matroska import Track
from vidops.runtime.matroska_reader import BrokenMatroskaError, MatroskaReader, Oversized

log = logging.getLogger("vidops.hub")


class Ingest(asyncio.Protocol):
    """One connection of a source."""

    def __init__(self, camera: Camera) -> None:
        self.pid = 0
        self._camera = camera
        self._parser: MultipartParser | MatroskaReader | None = None
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
        if self._parser is None:
            # Matroska begins with 1A45DFA3, multipart with its boundary.
            kind = MatroskaReader if data[:1] == b"\x1a" else MultipartParser
            self._parser = kind(camera.max_frame)
        try:
            for part in self._parser.feed(data):
                if isinstance(part, bytes):
                    camera.deliver(part)
                elif isinstance(part, Track):
                    camera.begin(part)
                elif isinstance(part, TooLarge | Oversized):
                    camera.drop("TooLarge", f"a frame of {part.length} bytes is larger than {camera.max_frame}")
                else:
                    camera.deliver_packet(part)
        except BrokenStreamError as error:
            self._broken("multipart JPEG", "NotMultipart", error)
        except BrokenMatroskaError as error:
            self._broken("Matroska", "NotMatroska", error)

    def _broken(self, what: str, reason: str, error: Exception) -> None:
        self._why = f"its source sent no {what}: {error}"
        self._camera.drop(reason, str(error))
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._camera.left(self, self._why)

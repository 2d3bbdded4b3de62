"""One picture now and then: as files of their own, or as frames of a video that runs fast."""

from __future__ import annotations

import logging
import math

from vidops.errors import PermanentError, TemporaryError
from vidops.ports import Clock, Frame
from vidops.recorder.moments import moments
from vidops.recorder.spool import Spool, Video
from vidops.runtime.hubclient import HubClient

log = logging.getLogger("vidops")

PATIENCE = 30.0
"""Seconds that a camera may take for a picture: it may have to be opened first."""


class Camera:
    """Where pictures come from. A failing camera is told of once, and again when it is another failure."""

    def __init__(self, hub: HubClient, name: str) -> None:
        self._hub = hub
        self._name = name
        self._said = ""

    async def picture(self) -> Frame | None:
        """One that was captured after the call; None where there is none to be had."""
        try:
            frame = await self._hub.snapshot(self._name, PATIENCE)
        except (TemporaryError, PermanentError) as error:
            if str(error) != self._said:
                log.warning("no picture: %s", error)
            self._said = str(error)
            return None
        self._said = ""
        return frame

    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the hub tells them."""
        state = self._hub.state(self._name) or {}
        return int(state.get("width") or 0), int(state.get("height") or 0)


async def take_stills(camera: Camera, spool: Spool, clock: Clock, *, every: float) -> None:
    """For ever. Raises `OSError` where the disk does not take one."""
    async for _ in moments(clock, every):
        if frame := await camera.picture():
            spool.put(frame.data, frame.timestamp, ".jpg")


async def take_timelapse(
    camera: Camera, spool: Spool, clock: Clock, *, every: float, fps: float, duration: float
) -> None:
    """For ever; a new file at each whole multiple of `duration`, and where the picture has another size."""
    video: Video | None = None
    about: tuple[int, tuple[int, int]] | None = None
    try:
        async for _ in moments(clock, every):
            frame = await camera.picture()
            if frame is None:
                continue
            now = (math.floor(frame.timestamp / duration), camera.size())
            if video is None or now != about:
                if video is not None:
                    video.close()
                video, about = spool.begin(frame.timestamp, ".mkv"), now
                video.open(*now[1])
            video.add(frame.data, video.frames / fps)
    finally:
        if video is not None:
            video.close()

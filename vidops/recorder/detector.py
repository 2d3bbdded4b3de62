"""How much a picture differs from the one before: FFmpeg's scene score, of a few small pictures a second."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable

from vidops.errors import TemporaryError
from vidops.ports import Frame
from vidops.runtime.matroska import Track, frame_head, head

LOOKS = 5.0
"""Pictures a second that are looked at."""
WIDTH = 160
BEHIND = 1024 * 1024
"""Bytes that may wait for FFmpeg; beyond that, pictures are not looked at."""
_SCORE = re.compile(rb"lavfi\.scene_score=([0-9.]+)\s*")
_FILTERS = (
    f"scale={WIDTH}:-2",
    "select=gte(scene\\,0)",
    "metadata=print:key=lavfi.scene_score:file=-:direct=1",
)


class Detector:
    """One FFmpeg, as long as the picture's size is the same. `scored(score, timestamp)` is told of each look."""

    def __init__(self, ffmpeg: str, size: tuple[int, int], scored: Callable[[float, float], None]) -> None:
        self._ffmpeg = ffmpeg
        self.size = size
        self._scored = scored
        self._process: asyncio.subprocess.Process | None = None
        self._asked: deque[float] = deque()
        self._next = 0.0

    def look(self, frame: Frame) -> None:
        """Look at a frame, where one is due and FFmpeg keeps up."""
        process = self._process
        if process is None or process.stdin is None or 0 <= self._next - frame.timestamp <= 1 / LOOKS:
            return
        pipe = process.stdin
        if pipe.is_closing() or pipe.transport.get_write_buffer_size() > BEHIND:
            return
        self._next = frame.timestamp + 1 / LOOKS
        self._asked.append(frame.timestamp)
        pipe.write(frame_head(len(frame.data), frame.timestamp) + frame.data)

    async def run(self) -> None:
        """Until cancelled; raises `TemporaryError` where FFmpeg ends by itself."""
        words = ("-hide_banner", "-loglevel", "error", "-f", "matroska", "-analyzeduration", "0", "-probesize", "32")
        graph = ("-vf", ",".join(_FILTERS), "-fps_mode", "passthrough", "-f", "null", "-")
        process = await asyncio.create_subprocess_exec(
            self._ffmpeg,
            *words,
            "-i",
            "pipe:0",
            *graph,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        try:
            process.stdin.write(head(Track("mjpeg", *self.size)))
            async for line in process.stdout:
                if (found := _SCORE.fullmatch(line)) and self._asked:
                    self._scored(float(found[1]), self._asked.popleft())
            raise TemporaryError(f"the motion detector ended with {await process.wait()}", reason="DetectorEnded")
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
                await process.wait()

"""Small pictures of recordings, made by FFmpeg when they are first asked for, a few at a time."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from stat import S_ISREG

from vidops.errors import PermanentError, TemporaryError
from vidops.runtime.programs import find_ffmpeg

MOST_AT_ONCE = 2
MOST_WAITING = 64
KEPT = 200
"""Thumbnails in memory."""
TIMEOUT = 10.0
LARGEST = 2 * 1024 * 1024


class Thumbnails:
    """Of one data directory. Of several who ask for the same one, the first has it made."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir
        self._known: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._making: dict[tuple[str, int, int], asyncio.Task[bytes]] = {}
        self._turn = asyncio.Semaphore(MOST_AT_ONCE)

    async def of(self, path: str, width: int) -> bytes:
        """See `ports.Recordings.thumbnail`. `path` has been checked to lie below the data directory."""
        file = f"{self._data_dir}/{path}"
        try:
            info = await asyncio.to_thread(os.stat, file, follow_symlinks=False)
        except OSError:
            info = None
        if info is None or not S_ISREG(info.st_mode):
            raise PermanentError(f"there is no recording {path!r}", reason="NoRecording")
        key = (path, info.st_mtime_ns, width)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        making = self._making.get(key)
        if making is None:
            if len(self._making) >= MOST_WAITING:
                raise TemporaryError("too many thumbnails are being made", reason="Busy")
            making = self._making[key] = asyncio.create_task(self._make(file, width), name="thumbnail")
            making.add_done_callback(lambda task: self._made(key, task))
        # Who leaves does not take it from the others.
        return await asyncio.shield(making)

    def _made(self, key: tuple[str, int, int], task: asyncio.Task[bytes]) -> None:
        self._making.pop(key, None)
        if not task.cancelled() and task.exception() is None:
            self._known[key] = task.result()
            while len(self._known) > KEPT:
                self._known.popitem(last=False)

    async def _make(self, file: str, width: int) -> bytes:
        async with self._turn:
            argv = ["-hide_banner", "-loglevel", "error", "-nostdin", "-i", f"file:{file}", "-frames:v", "1"]
            argv += ["-vf", f"scale={width}:-2", "-f", "image2pipe", "-c:v", "mjpeg", "-q:v", "5", "-"]
            pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(find_ffmpeg(), *argv, stdout=pipe, stderr=nothing)
            assert process.stdout is not None
            try:
                async with asyncio.timeout(TIMEOUT):
                    data = await _all(process.stdout)
                    await process.wait()
            except TimeoutError:
                data = b""
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if not data.startswith(b"\xff\xd8"):
            raise PermanentError("there is no picture in it", reason="NoPicture")
        return data


async def _all(stream: asyncio.StreamReader) -> bytes:
    """What a stream gives until its end; nothing where that is more than a thumbnail's."""
    data = bytearray()
    while chunk := await stream.read(65536):
        data += chunk
        if len(data) > LARGEST:
            return b""
    return bytes(data)

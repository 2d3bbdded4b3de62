"""Files in a capture's spool: `<seconds since 1970>-<run id><suffix>`, whole or growing, never overwritten."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from vidops.runtime.files import UNFINISHED
from vidops.runtime.matroska import Track, frame_head, head

NAMES_TRIED = 100
"""Seconds further on that a name is looked for, where the clock was set back onto one that is taken."""


@dataclass(frozen=True)
class Spool:
    """The directory, and the run id of this very process."""

    directory: str
    run: str

    def tidy(self) -> None:
        """Remove what an earlier process of this capture began and did not finish."""
        for name in os.listdir(self.directory):
            if name.endswith(UNFINISHED):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self.directory}/{name}")

    def put(self, data: bytes, moment: float, suffix: str) -> str:
        """Write one whole file; it has its name once it is complete. Raises `OSError`."""
        temporary = f"{self.directory}/{self.run}{UNFINISHED}"
        with open(temporary, "wb") as file:
            file.write(data)
        try:
            for second in self._seconds(moment):
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, self._path(second, suffix))
                    return self._path(second, suffix)
        finally:
            os.unlink(temporary)
        raise FileExistsError(f"{self.directory} is full of files of this second")

    def begin(self, moment: float, suffix: str) -> Video:
        """A file that grows. Raises `OSError`."""
        for second in self._seconds(moment):
            with contextlib.suppress(FileExistsError):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                return Video(os.open(self._path(second, suffix), flags, 0o600))
        raise FileExistsError(f"{self.directory} is full of files of this second")

    def _path(self, second: int, suffix: str) -> str:
        return f"{self.directory}/{second}-{self.run}{suffix}"

    @staticmethod
    def _seconds(moment: float) -> range:
        return range(int(moment), int(moment) + NAMES_TRIED)


class Video:
    """A Matroska file of JPEGs. Every frame is on its way to the disk when `add` returns."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.frames = 0

    def open(self, width: int, height: int) -> None:
        self._write(head(Track("mjpeg", width, height)))

    def add(self, data: bytes, seconds: float) -> None:
        """A frame at its time in the file. Raises `OSError`; what was added before stays playable."""
        self._write(frame_head(len(data), seconds) + data)
        self.frames += 1

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        os.close(self._descriptor)

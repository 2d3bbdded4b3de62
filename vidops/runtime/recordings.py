"""`ports.Recordings` for any process: reads the index and the spools, writes nothing, needs nobody to run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import Any
from urllib.parse import quote

from vidops.resources.layout import Layout
from vidops.runtime.files import read_bounded
from vidops.runtime.index import Recording, Wanted, by_path, newest
from vidops.runtime.keeper import ABOUT
from vidops.runtime.playlist import playlist, timeline
from vidops.runtime.segments import CaptureFiles, spooled
from vidops.runtime.thumbnails import Thumbnails

SPOOL = ".spool/"
MAX_LIMIT = 10_000
MAX_ROWS = 100_000
"""Of a timeline or a playlist: two months of one-minute files."""


class RecordingsReader:
    """What has been recorded and what is being recorded, as the disk has it at each call."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._thumbnails = Thumbnails(layout.data_dir)

    async def list(
        self, *, camera: str = "", capture: str = "", begin: float = 0.0, end: float = inf, limit: int = 100
    ) -> Sequence[Mapping[str, object]]:
        """See `ports.Recordings`. An index that is missing or broken shows as no finished recordings."""
        return await asyncio.to_thread(self.list_now, Wanted(camera, capture, begin, end, limit))

    def list_now(self, wanted: Wanted = Wanted()) -> Sequence[Mapping[str, object]]:  # noqa: B008 - frozen
        """`list`, blocking."""
        limit = max(0, min(wanted.limit, MAX_LIMIT))
        growing = [r for r in _growing(self._layout) if wanted.fits(r)]
        growing.sort(key=lambda item: item.start, reverse=True)
        entries = [
            *({**r.to_json(), "finished": False} for r in growing),
            *(r.to_json() for r in self.finished(wanted)),
        ]
        return entries[:limit]

    def finished(self, wanted: Wanted) -> Sequence[Recording]:
        """Finished recordings, newest first. Blocking."""
        # A file that somebody removed is no recording, whatever the index still says.
        return [r for r in self._indexed(wanted) if os.path.exists(f"{self._layout.data_dir}/{r.path}")]

    async def find(self, path: str) -> Mapping[str, object] | None:
        return await asyncio.to_thread(self._find, path)

    def _find(self, path: str) -> Mapping[str, object] | None:
        if path.startswith(SPOOL):
            growing = next((r for r in _growing(self._layout) if r.path == path), None)
            return {**growing.to_json(), "finished": False} if growing else None
        found = self._asked(lambda read: by_path(read, path))
        return found[0].to_json() if found else None

    async def timeline(
        self, *, camera: str = "", capture: str = "", begin: float, end: float
    ) -> Sequence[Mapping[str, object]]:
        wanted = Wanted(camera, capture, begin, end, MAX_ROWS)
        rows = await asyncio.to_thread(lambda: [*self.finished(wanted), *filter(wanted.fits, _growing(self._layout))])
        return timeline(rows)

    async def playlist(
        self, *, camera: str = "", capture: str = "", begin: float, end: float, locate: Callable[[str], str]
    ) -> str:
        wanted = Wanted(camera, capture, begin, end, MAX_ROWS)
        return await asyncio.to_thread(lambda: playlist(self._layout.data_dir, self.finished(wanted), locate))

    async def thumbnail(self, path: str, width: int) -> bytes:
        return await self._thumbnails.of(path, width)

    def _indexed(self, wanted: Wanted) -> Sequence[Recording]:
        return self._asked(lambda read: newest(read, wanted))

    def _asked(self, question: Callable[[Callable[..., Any]], Sequence[Recording]]) -> Sequence[Recording]:
        """What the index says, as it is now; nothing where it is not to be read."""
        try:
            place = f"file:{quote(self._layout.recordings_index)}?mode=ro"
            with contextlib.closing(sqlite3.connect(place, uri=True, timeout=2.0)) as connection:
                return question(lambda sql, *values: connection.execute(sql, values))
        except sqlite3.Error:
            # Not made yet, or about to be rebuilt by its keeper.
            return []


def _growing(layout: Layout) -> Iterator[Recording]:
    """Spooled segments, as if they ended now. `path` is relative to the data directory, as for finished ones."""
    root = os.path.dirname(layout.spool("x"))
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for folder in sorted(os.listdir(root)):
            with contextlib.suppress(OSError, ValueError, TypeError):
                capture = CaptureFiles(**json.loads(read_bounded(f"{root}/{folder}/{ABOUT}", 65536)))
                for name in sorted(os.listdir(f"{root}/{folder}")):
                    about = spooled(name)
                    if about is not None:
                        info = os.stat(f"{root}/{folder}/{name}")
                        path = os.path.relpath(f"{root}/{folder}/{name}", layout.data_dir)
                        start = float(about.start)
                        end = max(start, info.st_mtime)
                        yield Recording(path, capture.camera, capture.name, start, end, info.st_size, "")

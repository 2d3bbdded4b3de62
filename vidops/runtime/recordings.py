"""`ports.Recordings` for any process: reads the index and the spools, writes nothing, needs nobody to run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from vidops.resources.layout import Layout
from vidops.runtime.files import read_bounded
from vidops.runtime.index import Recording, newest
from vidops.runtime.keeper import ABOUT
from vidops.runtime.segments import CaptureFiles, spooled

MAX_LIMIT = 10_000


class RecordingsReader:
    """What has been recorded and what is being recorded, as the disk has it at each call."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def list(self, *, camera: str = "", limit: int = 100) -> Sequence[Mapping[str, object]]:
        """See `ports.Recordings`. An index that is missing or broken shows as no finished recordings."""
        return await asyncio.to_thread(self.list_now, camera=camera, limit=limit)

    def list_now(self, *, camera: str = "", limit: int = 100) -> Sequence[Mapping[str, object]]:
        """`list`, blocking."""
        limit = max(0, min(limit, MAX_LIMIT))
        growing = sorted(_growing(self._layout, camera), key=lambda item: item.start, reverse=True)
        # A file that somebody removed is no recording, whatever the index still says.
        finished = (r for r in self._finished(camera, limit) if os.path.exists(f"{self._layout.data_dir}/{r.path}"))
        entries = [*({**r.to_json(), "finished": False} for r in growing), *(r.to_json() for r in finished)]
        return entries[:limit]

    def _finished(self, camera: str, limit: int) -> Sequence[Recording]:
        try:
            place = f"file:{quote(self._layout.recordings_index)}?mode=ro"
            with contextlib.closing(sqlite3.connect(place, uri=True, timeout=2.0)) as connection:
                return newest(lambda sql, *values: connection.execute(sql, values), camera=camera, limit=limit)
        except sqlite3.Error:
            # Not made yet, or about to be rebuilt by its keeper.
            return []


def _growing(layout: Layout, camera: str) -> Iterator[Recording]:
    """Spooled segments, as if they ended now. `path` is relative to the data directory, as for finished ones."""
    root = os.path.dirname(layout.spool("x"))
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for folder in sorted(os.listdir(root)):
            with contextlib.suppress(OSError, ValueError, TypeError):
                capture = CaptureFiles(**json.loads(read_bounded(f"{root}/{folder}/{ABOUT}", 65536)))
                if camera and capture.camera != camera:
                    continue
                for name in sorted(os.listdir(f"{root}/{folder}")):
                    about = spooled(name)
                    if about is not None:
                        info = os.stat(f"{root}/{folder}/{name}")
                        path = os.path.relpath(f"{root}/{folder}/{name}", layout.data_dir)
                        start = float(about.start)
                        end = max(start, info.st_mtime)
                        yield Recording(path, capture.camera, capture.name, start, end, info.st_size, "")

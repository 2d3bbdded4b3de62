"""Captures as people and clocks turn them: who was asked to record, whose hour has come, whom the disk has room for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vidops.errors import PermanentError, VidopsError
from vidops.reconcile.engine import Engine
from vidops.reconcile.recorders import Room
from vidops.resources.layout import Layout
from vidops.resources.specs import CaptureSpec
from vidops.runtime.files import free_bytes, total_bytes, write_if_changed
from vidops.runtime.index import RecordingsIndex
from vidops.runtime.retention import delete
from vidops.runtime.state import State

log = logging.getLogger("vidops")

TEND_EVERY = 1.0
"""Seconds between looks at what captures are to do now."""


class CaptureDesk:
    """`layout()`: where recordings go now."""

    def __init__(self, engine: Engine, state: State, layout: Callable[[], Layout]) -> None:
        self._engine = engine
        self._state = state
        self._layout = layout
        engine.recorders.asked = state.asked()
        self._mounts = state.mounts()
        self._tell_programs()
        self._see_mount(layout().data_dir)

    async def run(self) -> None:
        """Start and stop captures as their schedules turn, and as the disk has room for them; for ever."""
        engine = self._engine
        while True:
            await asyncio.sleep(TEND_EVERY)
            room = await asyncio.to_thread(_room, self._layout().data_dir)
            await asyncio.to_thread(self._see_mount, self._layout().data_dir)
            if decided := engine.recorders.see_room(self._captures(), room):
                log.warning("%s", decided)
            if engine.captures_due():
                await engine.ask("captures turn", captures=True)

    def _see_mount(self, directory: str) -> None:
        """Notice where a disk went that was mounted once, also before a boot; and where it came back. Blocking."""
        recorders, mounted = self._engine.recorders, _is_mounted(directory)
        if mounted and directory not in self._mounts:
            self._mounts.add(directory)
            with contextlib.suppress(VidopsError):
                self._state.remember_mount(directory)
            self._tell_programs()
        gone = directory in self._mounts and not mounted
        if gone != recorders.disk_gone:
            recorders.disk_gone = gone
            log.warning("%s is %s", directory, "not mounted any more: recordings stop" if gone else "mounted again")

    def _tell_programs(self) -> None:
        """A recorder that starts before anybody here saw the disk go must not make its directories below."""
        with contextlib.suppress(OSError):
            write_if_changed(self._layout().mounts_file, json.dumps(sorted(self._mounts)))

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Each with `name, entry, camera, on_demand, records`, and `reason, message, until` where it does not."""
        rows = []
        for name, spec in self._captures().items():
            pause = self._engine.recorders.pause_of(name, spec)
            row = {
                "name": name,
                "entry": name.partition(".")[0],
                "camera": spec.camera,
                "on_demand": spec.on_demand,
                "records": pause is None,
            }
            said = {"reason": pause.reason, "message": pause.message, "until": pause.until} if pause else {}
            rows.append({**row, **said})
        return rows

    async def ask(self, name: str, on: bool) -> None:
        """Have a capture record, or stop; returns when that is so. Raises `PermanentError` where it cannot be asked."""
        # An entry of several cameras is turned as a whole.
        whole = {n: s for n, s in self._captures().items() if name in (n, n.partition(".")[0])}
        if not whole:
            raise PermanentError(f"there is no capture {name!r}", reason="UnknownCapture")
        if not all(spec.on_demand for spec in whole.values()):
            raise PermanentError(
                f"capture {name} records by itself: only one with `on_demand: true` is started and stopped",
                reason="NotOnDemand",
            )
        for each in whole:
            await asyncio.to_thread(self._state.ask, each, on)
        asked = self._engine.recorders.asked
        asked.update(whole) if on else asked.difference_update(whole)
        await self._engine.ask(f"capture {name} {'starts' if on else 'stops'}", captures=True)

    async def forget_disk(self) -> None:
        """Record to the directory as it is now: what was mounted there does not come back. Raises `PermanentError`
        (NoDiskGone) where nothing is missing."""
        directory = self._layout().data_dir
        if not self._engine.recorders.disk_gone:
            raise PermanentError(f"no disk is missing at {directory}", reason="NoDiskGone")
        await asyncio.to_thread(self._state.forget_mount, directory)
        self._mounts.discard(directory)
        self._tell_programs()
        self._engine.recorders.disk_gone = False
        log.warning("%s was forgotten as a disk: recordings go on without it", directory)
        await self._engine.ask("a disk is forgotten", captures=True)

    async def keep(self, path: str, kept: bool) -> None:
        """Have retention leave a recording alone, or not any more. Raises `PermanentError` (NoRecording)."""
        if not await asyncio.to_thread(self._on_index, lambda index: index.keep(path, kept)):
            raise _no_recording(path)

    async def delete(self, path: str) -> None:
        """Delete a recording for good. Raises `PermanentError` (NoRecording, CannotDelete)."""
        try:
            if not await asyncio.to_thread(self._on_index, lambda index: delete(index, path)):
                raise _no_recording(path)
        except OSError as error:
            raise PermanentError(f"{path}: {error.strerror}", reason="CannotDelete") from None

    def _on_index(self, work: Callable[[RecordingsIndex], bool]) -> bool:
        index = RecordingsIndex(self._layout())
        try:
            return work(index)
        finally:
            index.close()

    def _captures(self) -> dict[str, CaptureSpec]:
        return {r.ref.name: r.spec for r in self._engine.memory.good if isinstance(r.spec, CaptureSpec)}


def _no_recording(path: str) -> PermanentError:
    return PermanentError(f"there is no finished recording {path!r}", reason="NoRecording")


def _is_mounted(directory: str) -> bool:
    """Whether a file system of its own is there."""
    try:
        return os.path.ismount(os.path.realpath(directory))
    except OSError:
        return False


def _room(directory: str) -> Room | None:
    try:
        return Room(free_bytes(directory), total_bytes(directory))
    except OSError:
        return None

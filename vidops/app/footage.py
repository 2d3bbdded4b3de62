"""Footage: what recorders write is filed and made to last, in every data directory that is in use.

There is one, but while an edit moves recordings elsewhere (`settings.data_dir`) there are two: the new one has to
show that it is recorded into before the old one is left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from vidops.app.adapters import capture_files
from vidops.reconcile.compiler import Compiled
from vidops.resources.specs import CaptureSpec
from vidops.runtime.clocksteps import ClockSteps
from vidops.runtime.keeper import Keeper, Sweep
from vidops.runtime.retention import Cleared
from vidops.runtime.segments import CaptureFiles
from vidops.runtime.tasks import Tasks

log = logging.getLogger("vidops")

SWEEP_EVERY = 0.5
"""Seconds; with a recorder's part_duration this is what a power cut may cost."""
CLEAR_EVERY = 2.0
"""Seconds between two looks for what retention removes."""


MOST_TROUBLES = 10
"""Files that cannot be removed which are named at a time."""
UNKEPT = {
    "MinFree": "the disk has less than `min_free` left even without its files, so each goes as soon as it is finished: "
    "make room, lower `min_free`, or make `segment.duration` shorter",
    "MaxSize": "one file alone is larger than `max_size`, so each goes as soon as it is finished: raise `max_size`, or "
    "make `segment.duration` shorter",
}


class Footage:
    """`in_use()` gives the stacks whose recordings matter now: the one in force and one that is being taken over.

    `why(capture, begin, end)` says what kept a capture from recording then; `tell(event, **facts)` is told of files
    that begin and of those that are finished.
    """

    def __init__(
        self,
        in_use: Callable[[], Sequence[Compiled]],
        why: Callable[[str, float, float], str],
        tell: Callable[..., None],
    ) -> None:
        self._in_use = in_use
        self._tell = tell
        self._why = why
        self._keepers: dict[str, Keeper] = {}
        self._sweeps: dict[str, Sweep] = {}
        self._cleared: dict[str, Cleared] = {}
        self._unkept: dict[str, dict[str, str]] = {}
        self._next_clearing = 0.0
        self._clock = ClockSteps()
        self._comparing: dict[str, asyncio.Task[None]] = {}
        self._tasks = Tasks()

    def grown(self, spool: str) -> int:
        """Bytes that recorders have been seen to write into a spool; never falls."""
        return max((keeper.grown(spool) for keeper in self._keepers.values()), default=0)

    def unkept(self, capture: str) -> str:
        """Why retention leaves a capture nothing of what it records; empty where it leaves something."""
        return next((UNKEPT[known[capture]] for known in self._unkept.values() if capture in known), "")

    def troubles(self) -> list[str]:
        """What could not be done in the last sweeps: a full disk, a lost one."""
        swept = [f"{t.path}: {t.message} ({t.code})" for s in self._sweeps.values() for t in s.troubles]
        kept = [f"{p}: retention cannot remove it ({code})" for c in self._cleared.values() for p, code in c.troubles]
        return [*swept, *kept[:MOST_TROUBLES]]

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            before = set(self.troubles())
            await self.sweep()
            if time.monotonic() >= self._next_clearing:
                await self.clear()
                self._next_clearing = time.monotonic() + CLEAR_EVERY
            for trouble in self.troubles():
                if trouble not in before:
                    log.warning("recordings: %s", trouble)
            await asyncio.sleep(SWEEP_EVERY)

    async def sweep(self) -> None:
        """File what is finished, sync what grows; once."""
        stacks = self._in_use()
        for stack in stacks:
            if stack.layout.data_dir not in self._keepers:
                self._keepers[stack.layout.data_dir] = Keeper(stack.layout, self._why)
        captures = {c.spool: c for stack in stacks for c in capture_files(stack.resources)}
        wanted = {stack.layout.data_dir for stack in stacks}
        for directory, keeper in list(self._keepers.items()):
            mine = [c for c in captures.values() if c.spool.startswith(f"{directory}/")]
            sweep = self._sweeps[directory] = await asyncio.to_thread(keeper.sweep, mine)
            for path, capture in sweep.begun:
                self._tell("segment_create", camera=capture.camera, capture=capture.entry, file=path)
            for recording in sweep.finished:
                facts = {**recording.to_json(), "capture": recording.capture.partition(".")[0]}
                self._tell("segment_complete", **facts, file=f"{directory}/{recording.path}")
            if sweep.stale and directory not in self._comparing:
                # Beside the sweeps: what grows must go on being synced however long it takes.
                self._comparing[directory] = self._tasks.start(
                    self._compare(directory, keeper, mine), "compare index and disk"
                )
            if directory not in wanted and stacks:
                await self._leave(directory)

    async def clear(self) -> None:
        """Remove what the captures' retention says; once."""
        if step := self._clock.look(time.time(), time.monotonic()):
            log.warning("the clock was set by %.0f seconds: recordings are as old as they were", step)
        for stack in self._in_use():
            directory = stack.layout.data_dir
            specs = {r.ref.name: r.spec for r in stack.resources if isinstance(r.spec, CaptureSpec)}
            rules = {name: spec.retention for name, spec in specs.items()}
            uploads = {name: spec.uploads for name, spec in specs.items()}
            if keeper := self._keepers.get(directory):
                work = partial(keeper.clear, rules, time.time(), uploads, self._clock.now_called)
                cleared = self._cleared[directory] = await asyncio.to_thread(work)
                squeezed = {item.clip.capture: item.why for item in cleared.removed if item.why in UNKEPT}
                known = {**self._unkept.get(directory, {}), **squeezed}
                still = {"MinFree": cleared.short, "MaxSize": {n for n, r in rules.items() if r.max_size is not None}}
                self._unkept[directory] = {n: why for n, why in known.items() if n in cleared.bare and n in still[why]}
                for why, gone in groupby(sorted(cleared.removed, key=lambda d: d.why), key=lambda d: d.why):
                    clips = [item.clip for item in gone]
                    log.info("retention (%s): %d removed, %d bytes", why, len(clips), sum(c.bytes for c in clips))

    async def _compare(self, directory: str, keeper: Keeper, captures: Sequence[CaptureFiles]) -> None:
        try:
            found = await asyncio.to_thread(keeper.reconcile, captures)
        finally:
            self._comparing.pop(directory, None)
        if found.added or found.dropped or found.trouble:
            log.warning(
                "recordings: the index did not agree with the disk: %d added, %d dropped %s",
                found.added,
                found.dropped,
                found.trouble,
            )

    async def _leave(self, directory: str) -> None:
        self._sweeps.pop(directory, None)
        self._cleared.pop(directory, None)
        self._unkept.pop(directory, None)
        await asyncio.to_thread(self._keepers.pop(directory).close)

    async def close(self) -> None:
        """File what is finished once more, and end."""
        await self.sweep()
        await self._tasks.close()
        for directory in list(self._keepers):
            await self._leave(directory)

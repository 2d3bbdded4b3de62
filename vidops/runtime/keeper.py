"""The keeper: makes what recorders write last, and files finished segments where they belong.

Called every half second. A power cut may cost what FFmpeg wrote since the last call, and FFmpeg writes each
packet at once, so less than two seconds. Nothing here raises for what a disk or a foreign file does: trouble
comes back in the report, and is tried again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from vidops.errors import PermanentError, TemporaryError
from vidops.resources.layout import Layout
from vidops.resources.specs import Retention
from vidops.runtime.files import free_bytes, read_bounded, sync_directory, write_if_changed
from vidops.runtime.index import COMPLETE, ENDED, Reconciled, Recording, RecordingsIndex, holes_in, note
from vidops.runtime.media import inspect, least_gap
from vidops.runtime.procfs import group_members, open_files, run_is_alive
from vidops.runtime.retention import Cleared, clear
from vidops.runtime.segments import CaptureFiles, Spooled, destination, playable, spooled

NAMED_WITHIN = 1.0
"""Seconds that a segment may have begun after its name says, which counts whole ones."""
NUDGE = 0.01
"""Seconds that a file's begin is moved at most, towards where it must be by its name."""
ABOUT = ".capture.json"
"""In each spool: whose it is, for segments that outlive their stack entry."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What could not be done. `code`: ENOSPC, EROFS, EIO ... or BadPath, BadIndex."""

    code: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message} ({self.code})"


@dataclass
class Sweep:
    """What one sweep did.

    `begun`: files that a recorder has just made. `removed`: files without a picture. `troubles` repeat until they are
    over. `stale`: the index may not say what is on disk (at a start, after it was lost or corrupt), until
    `Keeper.reconcile` was called and had no trouble.
    """

    begun: list[tuple[str, CaptureFiles]] = field(default_factory=list)
    finished: list[Recording] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    stale: bool = False


@dataclass
class _Growing:
    """A spooled file: the capture it was begun for, and its bytes when it was last seen."""

    capture: CaptureFiles
    size: int


@dataclass(frozen=True, slots=True)
class _End:
    """Where footage ends: Unix seconds, the run that wrote the last of it, and the seconds that a frame takes there."""

    run: str
    end: float
    interval: float = 0.0


class Keeper:
    """One a data directory. Safe from any thread; `reconcile`, which can take long, may run beside `sweep`.

    `why(capture, begin, end)` gives the reason for a gap between two Unix times; empty where none was seen: it was
    too short, or happened while nobody looked.
    """

    def __init__(self, layout: Layout, why: Callable[[str, float, float], str] = lambda *_: "") -> None:
        self.layout = layout
        self._why = why
        self._ends: dict[str, _End] = {}
        self._index: RecordingsIndex | None = None
        self._stale = True
        self._opening = threading.Lock()
        self._sweeping = threading.Lock()
        self._growing: dict[str, _Growing] = {}
        self._described: dict[str, CaptureFiles] = {}
        self._unindexed: list[Recording] = []
        self._written: dict[str, int] = {}

    def grown(self, spool: str) -> int:
        """Bytes that recorders have been seen to write into a spool since this keeper began; never falls."""
        return self._written.get(spool, 0)

    def reconcile(self, captures: Sequence[CaptureFiles]) -> Reconciled:
        """Compare index and disk, and mend the index. Takes as long as a walk over all recordings."""
        try:
            index = self._open_index()
            # Before the walk: what is lost during it makes it stale again.
            self._stale = False
            return index.reconcile([*captures, *self._leftover(captures)])
        except (TemporaryError, PermanentError) as error:
            self._stale = True
            return Reconciled(trouble=str(error))

    def clear(
        self,
        rules: Mapping[str, Retention],
        now: float,
        uploads: Mapping[str, Sequence[str]] | None = None,
        now_called: Callable[[float], float] = lambda moment: moment,
    ) -> Cleared:
        """Remove the recordings that are to go, by the name of their capture. What the index refuses comes back as
        a trouble."""
        try:
            index, directory = self._open_index(), self.layout.data_dir
            return clear(
                index, rules, now=now, free=lambda: free_bytes(directory), uploads=uploads, now_called=now_called
            )
        except (TemporaryError, PermanentError) as error:
            return Cleared(troubles=[(self.layout.recordings_index, error.reason or str(error))])
        except OSError as error:
            return Cleared(troubles=[(self.layout.data_dir, errno.errorcode.get(error.errno or 0, "EIO"))])

    def close(self) -> None:
        with self._opening:
            if self._index is not None:
                self._index.close()
                self._index = None

    def sweep(self, captures: Sequence[CaptureFiles]) -> Sweep:
        """Sync what grew, file what is finished: of these captures, and of those that are no longer asked for."""
        report = Sweep()
        with self._sweeping:
            present: set[str] = set()
            for capture in [*captures, *self._leftover(captures)]:
                with _troubles(report, capture.spool):
                    present.update(self._sweep_spool(capture, report))
            for path in self._growing.keys() - present:
                del self._growing[path]
            with _troubles(report, self.layout.recordings_index):
                self._write_index(report)
        report.stale = self._stale
        return report

    def _sweep_spool(self, capture: CaptureFiles, report: Sweep) -> Iterator[str]:
        """Yields the files that stay."""
        names = _spooled_names(capture.spool)
        if names and self._described.get(capture.spool) != capture:
            with _troubles(report, capture.spool):
                write_if_changed(f"{capture.spool}/{ABOUT}", json.dumps(capture.to_json(), indent=1))
                self._described[capture.spool] = capture
        ended: dict[str, bool] = {}
        for name, about in names:
            path = f"{capture.spool}/{name}"
            with _troubles(report, path):
                info = os.stat(path)
                if about.run not in ended:
                    ended[about.run] = not run_is_alive(about.run)
                if path not in self._growing and not ended[about.run]:
                    report.begun.append((path, capture))
                self._sync_growth(path, capture, info, leftover=ended[about.run])
                if ended[about.run] or not _is_open(about.run, info):
                    reason = ENDED if ended[about.run] else COMPLETE
                    whose = _owner(capture, self._growing[path].capture)
                    if self._finish(path, about, whose, reason, report):
                        continue
            yield path

    def _sync_growth(self, path: str, capture: CaptureFiles, info: os.stat_result, *, leftover: bool) -> None:
        growing = self._growing.get(path)
        if growing is None:
            # What an earlier recorder left is no sign of life of this one.
            growing = self._growing[path] = _Growing(capture, info.st_size if leftover else 0)
        if info.st_size != growing.size:
            _sync(path)
            written = max(0, info.st_size - growing.size)
            self._written[capture.spool] = self._written.get(capture.spool, 0) + written
            growing.size = info.st_size

    def _finish(self, path: str, about: Spooled, capture: CaptureFiles, reason: str, report: Sweep) -> bool:
        """File one segment. Whether it has left the spool."""
        _sync(path)
        info = os.stat(path)
        if not playable(path):
            os.unlink(path)
            report.removed.append(path)
            return True
        try:
            wanted = destination(capture, about.start)
        except ValueError as error:
            report.troubles.append(Trouble("BadPath", path, str(error)))
            return False
        recording = self._described_as(path, about, capture, info, reason)
        recording = replace(recording, path=wanted)
        note(path, recording)
        self._unindexed.append(replace(recording, path=_place(path, self.layout.data_dir, wanted)))
        interval = (recording.end - recording.start) / (recording.frames or 1)
        self._ends[capture.name] = _End(about.run, recording.end, interval)
        return True

    def _described_as(
        self, path: str, about: Spooled, capture: CaptureFiles, info: os.stat_result, reason: str
    ) -> Recording:
        """What the index is to say of a finished segment.

        A name tells the second that a file was begun in: for one that follows in the same run, that is when it was
        cut, to a frame. The first of a run began its duration before it was last written.
        """
        media = inspect(path)
        start, end = float(about.start), max(float(about.start), info.st_mtime)
        before = self._end_of(capture.name)
        if media is not None and capture.realtime:
            if before is not None and before.run == about.run:
                interval = media.interval or before.interval
                start = continued(start, before.end, interval)
                # A frame alone does not tell how long it lasts, those before it do.
                end = start + (media.duration or interval)
            else:
                start = min(max(start, end - media.duration), start + NAMED_WITHIN)
                end = start + media.duration
        gap = start - before.end if before is not None and media is not None else 0.0
        if media is None or gap < least_gap(media.interval):
            gap = 0.0
        why = (self._why(capture.name, start - gap, start) or capture.sparse or "Restarted") if gap else ""
        frames, codec = (media.frames, media.codec) if media else (0, "")
        holes = holes_in(media, start, capture, partial(self._why, capture.name))
        return Recording(
            path, capture.camera, capture.name, start, end, info.st_size, reason,
            frames=frames, codec=codec, gap=round(gap, 3), gap_reason=why, holes=holes,
        )  # fmt: skip

    def _end_of(self, capture: str) -> _End | None:
        """Where the footage of a capture ends so far."""
        if capture not in self._ends:
            # An index that does not answer is no reason to leave footage unfiled.
            with contextlib.suppress(TemporaryError, PermanentError):
                end = self._open_index().last_end(capture)
                if end is not None:
                    self._ends[capture] = _End("", end)
        return self._ends.get(capture)

    def _write_index(self, report: Sweep) -> None:
        index = self._open_index()
        if self._unindexed:
            try:
                index.add(self._unindexed)
            except TemporaryError as error:
                if error.reason == "Corrupt":
                    # Opening it again moves it aside.
                    self.close()
                raise
            report.finished, self._unindexed = self._unindexed, []

    def _open_index(self) -> RecordingsIndex:
        with self._opening:
            if self._index is not None and self._index.lost:
                self._index.close()
                self._index = None
            if self._index is None:
                self._index = RecordingsIndex(self.layout)
                self._stale = True
            return self._index

    def _leftover(self, captures: Sequence[CaptureFiles]) -> list[CaptureFiles]:
        """Spools of captures that nobody asks for any more, and that still hold something."""
        wanted = {capture.spool for capture in captures}
        root = os.path.dirname(self.layout.spool("x"))
        found = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(root):
                spool = f"{root}/{name}"
                if spool not in wanted:
                    with contextlib.suppress(OSError, ValueError, TypeError):
                        about = CaptureFiles(**json.loads(read_bounded(f"{spool}/{ABOUT}", 65536)))
                        found.append(about)
                        if not _spooled_names(spool):
                            os.unlink(f"{spool}/{ABOUT}")
                            os.rmdir(spool)
        return found


def continued(named: float, before: float, interval: float) -> float:
    """When a file begins that follows one of the same run. `named`: the second of its name; `before`: the end of that.

    Its first frame is the next one after the last of that, so it begins there, unless frames are missing. What small
    mistakes add up to is taken back little by little, since the first frame comes within an interval of the second.
    """
    if not named - least_gap(interval) <= before <= named + least_gap(interval):
        return named
    if before < named:
        return min(named, before + NUDGE)
    return max(min(before, named + interval), before - NUDGE)


def _owner(now: CaptureFiles, then: CaptureFiles) -> CaptureFiles:
    """A segment belongs to the camera that it was begun for; everything else is as the file says now."""
    return now if now.camera == then.camera and now.suffix == then.suffix else then


def _spooled_names(spool: str) -> list[tuple[str, Spooled]]:
    try:
        names = os.listdir(spool)
    except FileNotFoundError:
        return []
    return sorted((name, about) for name in names if (about := spooled(name)) is not None)


def _is_open(run: str, info: os.stat_result) -> bool:
    """Whether a run's process, or one of its process group, holds the file open (or that is not to be known)."""
    pid = int(run.partition("_")[0], 36)

    def holds(process: int) -> bool:
        files = open_files(process)
        return files is None or (info.st_dev, info.st_ino) in files

    # The group is looked for only where the first does not hold it: that reads all of /proc, once a segment.
    return holds(pid) or any(map(holds, group_members(pid)))


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _place(source: str, data_dir: str, wanted: str) -> str:
    """Move a file to `wanted` below the data directory, or to the next free name beside it; gives the relative path.

    Never overwrites, and never leaves the data directory through a link.
    """
    stem, suffix = os.path.splitext(wanted)
    folder = os.path.dirname(f"{data_dir}/{wanted}")
    root = os.path.realpath(data_dir)
    if os.path.commonpath([root, os.path.realpath(folder)]) != root:
        raise OSError(errno.EXDEV, "a link leads out of the data directory", folder)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for number in range(10_000):
        relative = f"{stem}-{number}{suffix}" if number else wanted
        if _move(source, f"{data_dir}/{relative}"):
            sync_directory(folder)
            return relative
    raise OSError(errno.EEXIST, "ten thousand segments have this name", f"{data_dir}/{wanted}")


def _move(source: str, target: str) -> bool:
    """Rename; False where the target exists. A crash in between leaves one file with two names, not none."""
    try:
        os.link(source, target)
    except FileExistsError:
        if not os.path.samefile(source, target):
            return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links (FAT, some network ones).
        if os.path.lexists(target):
            return False
        os.rename(source, target)
        return True
    os.unlink(source)
    return True


@contextlib.contextmanager
def _troubles(report: Sweep, path: str) -> Iterator[None]:
    """What goes wrong becomes an entry of the report."""
    try:
        yield
    except FileNotFoundError:
        # It vanished under our hands: somebody cleaned up.
        pass
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "EIO")
        report.troubles.append(Trouble(code, str(error.filename or path), error.strerror or str(error)))
    except (TemporaryError, PermanentError) as error:
        code = "ENOSPC" if error.reason == "DiskFull" else "BadIndex"
        report.troubles.append(Trouble(code, path, str(error)))

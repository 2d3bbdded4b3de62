"""What is to be copied, in which order, and what becomes of failures. Blocking."""

from __future__ import annotations

import fnmatch
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from vidops.errors import PermanentError, TemporaryError
from vidops.resources.catalogue import Sink
from vidops.runtime.index import Recording, RecordingsIndex

log = logging.getLogger("vidops")

LOOK_EVERY = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
BATCH = 500


@dataclass
class Uploader:
    """`wait(seconds)` sleeps, and says whether to go on; `tell(report)` is told how it is going."""

    name: str
    captures: str
    index: RecordingsIndex
    sink: Sink
    wait: Callable[[float], bool]
    tell: Callable[[dict[str, object]], None] = lambda _: None
    error: str = ""
    copied: int = 0
    pause: float = FIRST_PAUSE

    def run(self) -> None:
        """Until `wait` says no."""
        going = True
        while going:
            failed = False
            todo = self._todo()
            for number, (recording, remembered) in enumerate(todo):
                if not self._copied(recording, remembered):
                    failed = True
                    self._report(len(todo) - number)
                    break
                self.error = ""
                self._report(len(todo) - number - 1)
                going = self.wait(0)
                if not going:
                    return
            going = self.wait(self.pause if failed else LOOK_EVERY)
            self.pause = min(self.pause * 2, LONGEST_PAUSE) if failed else FIRST_PAUSE

    def _report(self, waiting: int) -> None:
        self.tell({"copied": self.copied, "waiting": waiting, "error": self.error})

    def _todo(self) -> list[tuple[Recording, str]]:
        """Raises `TemporaryError` where the index was replaced: the next start opens the new one."""
        if self.index.lost:
            raise TemporaryError("the index of recordings is another", reason="IndexReplaced")
        try:
            found = self.index.unconfirmed(self.name, BATCH)
        except TemporaryError as error:
            log.warning("the index does not answer: %s", error)
            return []
        return [item for item in found if fnmatch.fnmatchcase(item[0].capture.partition(".")[0], self.captures)]

    def _copied(self, recording: Recording, remembered: str) -> bool:
        """Whether it is there now, or never will be."""
        file = f"{self.index.data_dir}/{recording.path}"
        if not os.path.exists(file):
            # Somebody deleted it.
            self.index.forget([recording.path])
            return True

        def remember(text: str) -> None:
            self.index.note_upload(self.name, recording.path, remembered=text)

        try:
            confirmation = self.sink.put(file, recording.path, resume=remembered, remember=remember)
            if not confirmation:
                raise PermanentError("the sink confirms nothing", reason="NotConfirmed")
            self.index.note_upload(self.name, recording.path, confirmed=confirmation)
        except (TemporaryError, PermanentError, OSError) as error:
            # Permanent or not: what is not confirmed is tried again, and kept.
            log.warning("%s: %s", recording.path, error)
            self.error = f"{recording.path}: {error}"[:500]
            return False
        self.copied += 1
        log.info("%s is there", recording.path)
        return True

"""What the lab keeps between runs, outside the checkout: each thing built once for the facts it is built from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

UNUSED_DAYS = 7
"""An image is over a gigabyte: one that no run has asked for in this time makes room."""


def cache_directory() -> Path:
    """`$VIDOPS_LAB_CACHE`, or `vidops-lab` in the user's cache directory."""
    if chosen := os.environ.get("VIDOPS_LAB_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vidops-lab"


def digest(facts: Iterable[str | bytes]) -> str:
    """A short name for `facts`, in their order."""
    total = hashlib.sha256()
    for fact in facts:
        data = fact.encode() if isinstance(fact, str) else fact
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Cache:
    """Directories by kind and key. Two runs that need the same one: the second waits for the first to build it."""

    root: Path

    def get(self, kind: str, key: str, build: Callable[[Path], None]) -> Path:
        """The directory of `kind` and `key`, made by `build(directory)` where there is none.

        A build that fails or is killed leaves nothing that a later run would take for finished.
        """
        home = self.root / kind
        home.mkdir(parents=True, exist_ok=True)
        done, making = home / key, home / f"{key}.building"
        with self._lock(kind):
            if not done.exists():
                shutil.rmtree(making, ignore_errors=True)
                making.mkdir()
                build(making)
                making.rename(done)
            os.utime(done)
            self._forget_unused(home)
        return done

    @contextmanager
    def _lock(self, kind: str) -> Iterator[None]:
        with (self.root / f"{kind}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _forget_unused(self, home: Path) -> None:
        for old in home.iterdir():
            if time.time() - old.stat().st_mtime > UNUSED_DAYS * 86400:
                shutil.rmtree(old)

"""Renewed certificates: a gateway's process looks itself whether the files of its `tls` are others now, so that
they are served whether or not there is a control plane.

What files are is looked at, not told of: whatever way they change (in place, replaced, by a symlink on the way), and
on file systems that tell of nothing. Certificate and key may come one after the other: until both fit, what was served
before is served, and it is tried again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from vidops.errors import PermanentError
from vidops.resources.resource import JSON
from vidops.resources.specs import TLSSpec
from vidops.runtime.secretrefs import file_of

EVERY = 1.0
"""Seconds between looks."""
AGAIN = 5
"""Looks after which a renewal that failed is tried again, though nothing was seen to change."""

Look = tuple[tuple[int, ...], ...]


def look(spec: TLSSpec | None) -> Look:
    """What the files are now, without reading them."""
    if spec is None:
        return ()
    found: list[tuple[int, ...]] = []
    for path in (spec.certfile, file_of(spec.keyfile), spec.client_ca):
        try:
            s = os.stat(path)
            found.append((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
        except OSError:
            found.append(())
    return tuple(found)


class Renewal:
    """`run` calls `renew` whenever `files()` are others than those that were loaded. `trouble` is why the newest ones
    are not served; empty where they are."""

    def __init__(
        self,
        files: Callable[[], TLSSpec | None],
        renew: Callable[[], Awaitable[bool]],
        log: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.trouble: JSON = {}
        self._files = files
        self._renew = renew
        self._log = log
        self._seen: Look = ()

    def loaded(self, seen: Look) -> None:
        """What was looked at just before it was read is served now."""
        self._seen, self.trouble = seen, {}

    async def now(self) -> None:
        """Serve what the files hold now. Raises `PermanentError`; then what was served before is served as before."""
        seen = await asyncio.to_thread(look, self._files())
        try:
            renewed = await self._renew()
        except PermanentError as error:
            self._seen = seen
            trouble = {"reason": error.reason, "message": str(error)}
            if trouble != self.trouble:
                self.trouble = trouble
                self._log({"level": "warning", "event": "not_renewed", **trouble, "error": str(error)})
            raise
        if renewed:
            self._log({"level": "info", "event": "renewed"})

    async def run(self) -> None:
        """For ever."""
        failed = 0
        while True:
            await asyncio.sleep(EVERY)
            if self._files() is None:
                continue
            failed = failed + 1 if self.trouble else 0
            if await asyncio.to_thread(look, self._files()) != self._seen or failed >= AGAIN:
                failed = 0
                try:
                    await self.now()
                except PermanentError:
                    pass  # told, and tried again
                except Exception as error:  # noqa: BLE001 - the next look may go better
                    self._log({"level": "error", "event": "not_renewed", "error": repr(error)})

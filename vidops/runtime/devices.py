"""`ports.Devices`: what the scanners see, put together, and udev's news of it.

Where there is no udev (a container), the kernel's own events are listened to; where there are neither, scans still
tell what is there, and news never comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from vidops.ports import DeviceFacts
from vidops.resources.catalogue import ScannerType
from vidops.v4l2.query import asked_once

log = logging.getLogger("vidops.devices")

SUBSYSTEM = "video4linux"
DEBOUNCE = 0.02
"""Seconds of quiet that end a burst of events: one camera brings several nodes, a few milliseconds apart. What comes
later is another look."""
LONGEST_BURST = 1.0
"""Seconds after which a burst counts as over, however noisy."""


class HostDevices:
    """The video devices of this host, as the scanners of a catalogue see them."""

    def __init__(self, scanners: Iterable[ScannerType]) -> None:
        self.scanners = sorted(scanners, key=lambda scanner: (-scanner.priority, scanner.name))
        self._failing: set[str] = set()

    async def scan(self) -> Sequence[DeviceFacts]:
        """All video nodes, in the order of their numbers, each once."""
        return await asyncio.to_thread(self.scan_now)

    def scan_now(self) -> list[DeviceFacts]:
        """`scan`, blocking."""
        with asked_once():
            return merged((scanner.name, self._seen_by(scanner)) for scanner in self.scanners)

    def _seen_by(self, scanner: ScannerType) -> Sequence[DeviceFacts]:
        try:
            found = scanner.scan()
        except Exception as error:  # noqa: BLE001 - perhaps somebody else's code: the others see on
            if scanner.name not in self._failing:
                log.warning("scanner %s fails: %s: %s", scanner.name, type(error).__name__, error)
            self._failing.add(scanner.name)
            return []
        self._failing.discard(scanner.name)
        return found

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yields as soon as it listens, since what was scanned before may be another by then, and after each burst of
        events of video nodes; where nobody tells of events, waits for ever."""
        monitor = _monitor()
        if monitor is None:
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def drain() -> None:
            try:
                while monitor.poll(timeout=0) is not None:
                    news.set()
            except OSError:
                # ENOBUFS: so many that the kernel dropped some. That is news, too.
                news.set()

        loop.add_reader(monitor.fileno(), drain)
        try:
            yield
            while True:
                await news.wait()
                await _quiet(news)
                yield
        finally:
            loop.remove_reader(monitor.fileno())


async def _quiet(news: asyncio.Event) -> None:
    """Return when no more news has come for a while, or it has gone on for too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_BURST):
            while True:
                news.clear()
                try:
                    await asyncio.wait_for(news.wait(), DEBOUNCE)
                except TimeoutError:
                    return


def merged(seen: Iterable[tuple[str, Sequence[DeviceFacts]]]) -> list[DeviceFacts]:
    """One entry a node: what the first scanner says of it, completed by the others."""
    found: dict[str, DeviceFacts] = {}
    for scanner, devices in seen:
        for device in devices:
            key = os.path.realpath(device.device_path)
            known = found.get(key)
            if known is None:
                found[key] = replace(device, scanners=(scanner,))
            elif scanner not in known.scanners:
                found[key] = _completed(known, device, scanner)
    return sorted(found.values(), key=lambda facts: _number(facts.device_path))


def _completed(known: DeviceFacts, other: DeviceFacts, scanner: str) -> DeviceFacts:
    missing = {f.name: getattr(other, f.name) for f in fields(known) if not getattr(known, f.name)}
    return replace(known, **{**missing, "scanners": (*known.scanners, scanner)})


def _number(path: str) -> tuple[int, str]:
    digits = re.search(r"\d+$", path)
    return (int(digits[0]) if digits else -1, path)


def _monitor() -> Any:
    """None where there is no libudev, or it may not listen."""
    try:
        import pyudev

        # Without a udev daemon nobody would repeat the kernel's events.
        source = "udev" if os.path.exists("/run/udev") else "kernel"
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=source)
        monitor.filter_by(SUBSYSTEM)
        monitor.start()
    except (ImportError, OSError, ValueError):
        return None
    return monitor

"""The host's clock, behind `ports.Clock`."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """`ports.Clock` on the host's clocks and the running event loop."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

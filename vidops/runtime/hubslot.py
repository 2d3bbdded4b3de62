"""Where one viewer's newest frame waits for it."""

from __future__ import annotations

import asyncio

from vidops.errors import TemporaryError
from vidops.ports import Frame
from vidops.runtime.hubfeed import State

FIRST_FRAME_GRACE = 5.0
"""Seconds beyond a camera's start_timeout before a viewer without any frame is told that there will be none."""
DEFAULT_START_TIMEOUT = 10.0
FAILED = ("Failed", "Busy", "Missing")


class Slot:
    """Takes a subscription's calls; what its viewer is too slow for is skipped."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._frame: Frame | None = None
        self._state: State = {}
        self._over = False
        self._change = asyncio.Event()

    def on_frame(self, frame: Frame) -> None:
        self._frame = frame
        self._change.set()

    def on_state(self, state: State) -> None:
        self._state = state
        self._change.set()

    def on_gone(self) -> None:
        self._over = True
        self._change.set()

    async def next(self) -> Frame | None:
        """The newest frame that was not taken yet; None at the end."""
        while self._frame is None and not self._over:
            self._change.clear()
            await self._change.wait()
        frame, self._frame = self._frame, None
        return frame

    async def first(self) -> Frame | None:
        """As `next`, raising `TemporaryError` where the camera fails, or nothing comes in its start_timeout."""
        began = asyncio.get_running_loop().time()
        while self._frame is None and not self._over:
            state = self._state
            if state.get("state") in FAILED:
                reason = str(state.get("reason") or state["state"])
                raise TemporaryError(f"camera {self._camera}: {state.get('message') or reason}", reason=reason)
            self._change.clear()
            limit = float(state.get("start_timeout") or DEFAULT_START_TIMEOUT) + FIRST_FRAME_GRACE
            try:
                async with asyncio.timeout_at(began + limit):
                    await self._change.wait()
            except TimeoutError:
                raise self._nothing(limit) from None
        return await self.next()

    def _nothing(self, limit: float) -> TemporaryError:
        if not self._state:
            return TemporaryError(f"camera {self._camera}: the hub did not answer within {limit:g}s", reason="HubDown")
        said = self._state.get("message") or f"it is {self._state.get('state')}"
        return TemporaryError(f"camera {self._camera}: no frame within {limit:g}s: {said}", reason="StartTimeout")

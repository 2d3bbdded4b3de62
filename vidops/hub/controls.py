"""The controls of a camera's device: what the stack file says is set before every start, and at once when it is edited.

The device is asked and told while its source streams: the kernel allows several to open a node. Each call blocks for
as long as the device takes, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from vidops.errors import PermanentError, TemporaryError
from vidops.ports import ControlFacts
from vidops.resources.controls import Value, numbers_for, to_json
from vidops.resources.modes import sizes_of
from vidops.v4l2.controls import controls, read, refusal, write
from vidops.v4l2.node import Ioctl, asked
from vidops.v4l2.query import query_node

T = TypeVar("T")


class Controls:
    """`changed()` is called where `errors`, what of the stack file could not be set, is another."""

    def __init__(self, name: str, changed: Callable[[], None]) -> None:
        self.name = name
        self.device = ""
        self.wanted: Mapping[str, Value] = {}
        self.errors: tuple[str, ...] = ()
        self._changed = changed
        self._reset: set[str] = set()
        """Taken out of the stack file, and not yet back at their defaults."""

    async def apply(self, device: str, wanted: Mapping[str, Value]) -> None:
        """New words of the stack file."""
        self._reset = (self._reset | self.wanted.keys()) - wanted.keys() if device == self.device else set()
        self.device, self.wanted = device, dict(wanted)
        await self.settle()

    async def settle(self) -> None:
        """Make the device's controls what they are to be. What cannot be had is in `errors`."""
        errors: Sequence[str] = ()
        if self.device and (self.wanted or self._reset):
            wanted, reset = self.wanted, frozenset(self._reset)
            try:
                errors = await self._ask(lambda ioctl: _set(ioctl, wanted, reset, whole=False))
                self._reset -= reset
            except OSError as error:
                errors = [f"the controls of {self.device} cannot be set: {refusal(error)}"]
        if tuple(errors) != self.errors:
            self.errors = tuple(errors)
            self._changed()

    async def told(self) -> dict[str, Any]:
        """`device`, `controls` as they are now, `modes`. Raises `PermanentError` (NoControls), `TemporaryError`."""
        self._must_have_device()
        try:
            found = await self._ask(controls)
        except OSError as error:
            raise TemporaryError(
                f"the controls of {self.device} cannot be read: {refusal(error)}", reason="DeviceError"
            ) from None
        node = await asyncio.to_thread(query_node, self.device)
        return {
            "device": self.device,
            "controls": [{**to_json(c), "declared": c.name in self.wanted} for c in found],
            "modes": sizes_of(node.modes) if node else [],
        }

    async def set(self, wanted: Mapping[str, Value]) -> None:
        """Set some until the next start. Raises `PermanentError` (NoControls; ControlRefused with all that is wrong),
        `TemporaryError`."""
        self._must_have_device()
        try:
            wrong = await self._ask(lambda ioctl: _set(ioctl, wanted, frozenset(), whole=True))
        except OSError as error:
            raise TemporaryError(
                f"the controls of {self.device} cannot be set: {refusal(error)}", reason="DeviceError"
            ) from None
        if wrong:
            raise PermanentError("; ".join(wrong), reason="ControlRefused")

    def _must_have_device(self) -> None:
        if not self.device:
            raise PermanentError(f"camera {self.name} has no device with controls now", reason="NoControls")

    async def _ask(self, question: Callable[[Ioctl], T]) -> T:
        device = self.device
        return await asyncio.to_thread(lambda: asked(device, question))


def _set(ioctl: Ioctl, wanted: Mapping[str, Value], reset: frozenset[str], *, whole: bool) -> list[str]:
    """Set, read back, and say what is not as it should be. `whole`: nothing is set where a value is wrong in itself."""
    known = controls(ioctl)
    chosen, wrong = numbers_for(known, wanted)
    if wrong and whole:
        return wrong
    chosen += [(control, control.default) for control in known if control.name in reset and not control.read_only]
    for control, number in chosen:
        # One that is automatic now moves by itself: its value says nothing.
        if number == control.value and control.type != "button" and not control.inactive:
            continue
        wrong += _set_one(ioctl, control, number)
    return wrong


def _set_one(ioctl: Ioctl, control: ControlFacts, number: int) -> list[str]:
    try:
        write(ioctl, control.id, number)
        if control.type == "button":
            return []
        now = read(ioctl, control.id)
    except OSError as error:
        return [f"{control.name} {number}: {refusal(error)}"]
    return [] if now == number else [f"{control.name} is {now} after it was set to {number}"]

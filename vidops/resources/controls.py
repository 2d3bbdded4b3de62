"""Values for a camera's controls: what a stack file or a request says, checked against what the device has. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vidops.ports import ControlFacts

Value = bool | int | str
FIRST = ("menu", "integer_menu", "boolean")
"""Types that are set before others: automatic modes are among them, and rule whether the others can be set."""


def number_for(control: ControlFacts, wanted: Value) -> int:
    """The number that the kernel is told. Raises `ValueError`, which says what would be right."""
    if control.read_only:
        raise ValueError(f"{control.name} can only be read")
    if control.type == "boolean":
        if isinstance(wanted, bool) or wanted in (0, 1):
            return int(wanted)
        raise ValueError(f"{control.name} is true or false, not {_said(wanted)}")
    if control.type == "button":
        if wanted is True:
            return 1
        raise ValueError(f"{control.name} is a button: true presses it")
    if control.menu:
        return _of_menu(control, wanted)
    if isinstance(wanted, bool | str) or not control.minimum <= wanted <= control.maximum:
        raise ValueError(f"{control.name} is a number from {control.minimum} to {control.maximum}, not {_said(wanted)}")
    if control.type == "integer" and (wanted - control.minimum) % control.step:
        below = wanted - (wanted - control.minimum) % control.step
        near = [n for n in (below, below + control.step) if n <= control.maximum]
        raise ValueError(f"{control.name} goes in steps of {control.step}: {' or '.join(map(str, near))}, not {wanted}")
    return wanted


def _of_menu(control: ControlFacts, wanted: Value) -> int:
    """An entry by number, by its name, or by its first words where no other begins so."""
    if isinstance(wanted, bool):
        found = []
    elif isinstance(wanted, int):
        found = [number for number, _ in control.menu if number == wanted]
    else:
        key = _key(wanted)
        keys = [(number, _key(name)) for number, name in control.menu]
        found = [number for number, name in keys if name == key]
        if not found and key:
            found = [number for number, name in keys if name.startswith(f"{key}_")]
    if len(found) != 1:
        entries = ", ".join(f"{name} ({number})" for number, name in control.menu)
        raise ValueError(f"{control.name} is one of {entries}, not {_said(wanted)}")
    return found[0]


def numbers_for(
    controls: Sequence[ControlFacts], wanted: Mapping[str, Value]
) -> tuple[list[tuple[ControlFacts, int]], list[str]]:
    """What to set, in the order to set it, and what is wrong with the rest."""
    known = {control.name: control for control in controls}
    chosen, wrong = [], []
    for name, value in wanted.items():
        control = known.get(name)
        if control is None:
            near = difflib.get_close_matches(name, known, n=1)
            there = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known) or 'none'}"
            wrong.append(f"the device has no control {name}{there}")
            continue
        try:
            chosen.append((control, number_for(control, value)))
        except ValueError as error:
            wrong.append(str(error))
    return sorted(chosen, key=lambda pair: pair[0].type not in FIRST), wrong


def to_json(control: ControlFacts) -> dict[str, Any]:
    """A control as the API tells it: booleans as such, menus with both numbers and names."""
    boolean = control.type == "boolean"
    return {
        "name": control.name,
        "title": control.title,
        "type": control.type,
        "minimum": control.minimum,
        "maximum": control.maximum,
        "step": control.step,
        "default": bool(control.default) if boolean else control.default,
        "value": bool(control.value) if boolean and control.value is not None else control.value,
        "menu": [{"value": number, "name": name} for number, name in control.menu],
        "read_only": control.read_only,
        "inactive": control.inactive,
    }


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _said(wanted: Value) -> str:
    return {True: "true", False: "false"}[wanted] if isinstance(wanted, bool) else repr(wanted)

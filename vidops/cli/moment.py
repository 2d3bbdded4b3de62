"""Points in time, as people write them: "2026-11-25 10:00", "10:00", "-15m", "now"."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from vidops.stack.scalars import parse_duration


class Moment(click.ParamType[float]):
    """Unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_moment(str(value), time.time())
        except ValueError:
            self.fail(
                f'{value!r} is no time: write "2026-11-25 10:00", "10:00" (today), "-15m" (ago) or "now"', param, ctx
            )


def parse_moment(text: str, now: float) -> float:
    """Unix seconds; without a zone it is the host's. Raises `ValueError`."""
    if text == "now":
        return now
    if text.startswith("-"):
        return now - parse_duration(text[1:])
    if len(text) in (5, 8) and text[2] == ":":
        text = f"{datetime.fromtimestamp(now):%Y-%m-%d} {text}"
    return datetime.fromisoformat(text).timestamp()

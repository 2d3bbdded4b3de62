"""When a capture records and how long its footage is kept: what a stack file says of it, as specs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from vidops.resources.catalogue import Options
from vidops.resources.schedule import DAY, DAYS, Window, known_zone
from vidops.resources.specs import Retention
from vidops.stack.scalars import PositiveDuration, Size

_RANGE = rf"(?:{'|'.join(DAYS)})(?:-(?:{'|'.join(DAYS)}))?"
_DAYS = rf"{_RANGE}(?:, ?{_RANGE})*"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?|24:00"


def parse_days(value: Any) -> str:
    if isinstance(value, str) and len(value) <= 200 and re.fullmatch(_DAYS, value):
        return value
    raise ValueError('not days: write names and ranges, for example "mon-fri" or "sat, sun"')


def days_of(text: str) -> tuple[int, ...]:
    """Numbers of "mon-fri, sun" (0 is Monday); a range may go over the end of the week."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update(day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))
    return tuple(sorted(found))


def parse_time(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(_TIME, value):
        return value
    # YAML 1.1 reads 7:30 as a number in base sixty.
    raise ValueError('not a time of day: write "HH:MM" in quotes, from "00:00" to "24:00"')


def seconds_of(text: str) -> int:
    hours, minutes, *seconds = map(int, text.split(":"))
    return hours * 3600 + minutes * 60 + sum(seconds)


Days = Annotated[str, BeforeValidator(parse_days), WithJsonSchema({"type": "string", "pattern": f"^{_DAYS}$"})]
WallTime = Annotated[str, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "pattern": f"^(?:{_TIME})$"})]


class ScheduleOptions(Options):
    """A weekly window of wall-clock time."""

    days: Days = "mon-sun"
    """The days that it begins on: "mon-fri", "sat, sun"."""
    from_: WallTime = Field(default="00:00", alias="from")
    """When it begins, by the clocks of its zone."""
    to: WallTime = "24:00"
    """When it ends; at or before `from` means on the next day."""
    timezone: str = ""
    """A zone of the tz database, for example Europe/Berlin. Empty: the host's."""

    @model_validator(mode="after")
    def _in_a_known_zone(self) -> ScheduleOptions:
        if self.timezone and not known_zone(self.timezone):
            raise ValueError(
                f"unknown timezone {self.timezone!r}: a name of the tz database, for example Europe/Berlin"
            )
        return self

    def window(self) -> Window:
        begin = seconds_of(self.from_) % DAY
        return Window(days=days_of(self.days), begin=begin, end=seconds_of(self.to), timezone=self.timezone)


class RetentionOptions(Options):
    """How long finished recordings are kept. What is asked for later in this list comes on top."""

    max_age: PositiveDuration | None = None
    """Older ones are removed, counted from their end."""
    max_size: Size | None = None
    """The oldest are removed where there are more bytes than this. Those marked `keep` do not count."""
    min_free: Size | None = None
    """The oldest, of all captures that ask for it, are removed where the disk has less left than this."""

    def rule(self) -> Retention:
        return Retention(max_age=self.max_age, max_size=self.max_size, min_free=self.min_free)

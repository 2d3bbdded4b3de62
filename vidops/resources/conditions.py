"""Conditions and the two axes of a resource's status: sync and health. Kubernetes' and Argo CD's words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any


class Sync(StrEnum):
    """Does what runs match the file?"""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"


class Health(StrEnum):
    """Does it do its work?"""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"
    MISSING = "Missing"


@dataclass(frozen=True, slots=True)
class Condition:
    """`type/status/reason/message/lastTransitionTime`; status is "True", "False" or "Unknown"."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": self.last_transition_time,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one resource now."""

    sync: Sync = Sync.OUT_OF_SYNC
    health: Health = Health.PROGRESSING
    reason: str = ""
    message: str = ""
    pid: int = 0
    restarts: int = 0
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = field(default_factory=tuple)
    facts: dict[str, Any] = field(default_factory=dict)

    def with_condition(self, new: Condition) -> Status:
        """The status with `new` in place of the condition of its type.

        The transition time moves only when `status` changes, as Kubernetes has it.
        """
        kept = []
        for old in self.conditions:
            if old.type != new.type:
                kept.append(old)
            elif old.status == new.status:
                new = replace(new, last_transition_time=old.last_transition_time)
        return replace(self, conditions=(*kept, new))

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["conditions"] = [c.to_json() for c in self.conditions]
        data["observedGeneration"] = data.pop("observed_generation")
        return data

"""The restart policy: exponential backoff with jitter and cap, reset after healthy, crash loops. Pure.

supervisord's own is linear, uncapped and gives up after `startretries` (engine facts: docs/design/supervisord.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vidops.resources.resource import Spec


class RestartPolicy(Spec):
    """Seconds throughout. The first failure after a healthy time is answered at once (`first`)."""

    first: float = 0.0
    base: float = 0.5
    factor: float = 2.0
    cap: float = 60.0
    jitter: float = 0.2
    healthy_after: float = 10.0
    crash_loop_after: int = 5


@dataclass(frozen=True, slots=True)
class Backoff:
    """What a policy remembers of one process: failures in a row, and when it may start again."""

    failures: int = 0
    next_start: float = 0.0

    def failed(self, policy: RestartPolicy, *, now: float, ran_for: float, chance: float) -> Backoff:
        """After an end that nobody asked for.

        now: monotonic seconds; ran_for: how long it made progress; chance: 0..1, the caller's dice.
        """
        failures = 1 if ran_for >= policy.healthy_after else self.failures + 1
        return Backoff(failures, now + delay(policy, failures, chance))

    def healthy(self, policy: RestartPolicy, *, ran_for: float) -> Backoff:
        return replace(self, failures=0, next_start=0.0) if ran_for >= policy.healthy_after else self

    def crash_looping(self, policy: RestartPolicy) -> bool:
        return self.failures >= policy.crash_loop_after


def delay(policy: RestartPolicy, failures: int, chance: float) -> float:
    """Seconds to wait before the start that follows the n-th failure in a row (n from 1)."""
    if failures <= 1:
        return policy.first
    # Capped in the exponent too: 2.0 ** 5000 raises OverflowError, and months of failing get there.
    wait = min(policy.cap, policy.base * policy.factor ** min(failures - 2, 64))
    return wait * (1 - policy.jitter + 2 * policy.jitter * chance)

"""Which upstream takes the next request, and which one is left alone for a while. Pure: the time is given."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

Policy = Literal["round_robin", "least_connections", "random", "client_ip", "first"]


@dataclass(slots=True)
class Breaker:
    """Opens after `failures` in a row (`inf`: never), for `open_for` seconds; then one request at a time tries whether
    it is over."""

    failures: float
    open_for: float
    count: int = 0
    open_until: float = 0.0
    trying: bool = False

    def allows(self, now: float) -> bool:
        return self.count < self.failures or (now >= self.open_until and not self.trying)

    def began(self) -> None:
        self.trying = self.count >= self.failures

    def succeeded(self) -> None:
        self.count, self.trying = 0, False

    def failed(self, now: float) -> bool:
        """Returns whether it has just opened."""
        self.count += 1
        self.trying = False
        if self.count < self.failures:
            return False
        opened = self.count == self.failures
        self.open_until = now + self.open_for
        return opened

    def gave_up(self) -> None:
        """The request ended without saying anything of the upstream: its client left."""
        self.trying = False


@dataclass(slots=True)
class State:
    """One upstream. `active`: requests that it works on; `healthy`: what its health check says."""

    name: str
    breaker: Breaker
    active: int = 0
    healthy: bool = True

    def available(self, now: float) -> bool:
        return self.healthy and self.breaker.allows(now)


@dataclass(slots=True)
class Balancer:
    policy: Policy
    states: Sequence[State]
    _turn: int = field(default=0)

    def pick(self, now: float, client: str, tried: Collection[int]) -> int | None:
        """The index of one that is available and not `tried`; None where there is none. Where all that are healthy are
        left alone, there is nobody to go to instead, and they are not: else a client that knows how to make a service
        fail takes it from everybody."""
        candidates = [i for i, state in enumerate(self.states) if i not in tried and state.available(now)]
        if not candidates and not tried:
            candidates = [i for i, state in enumerate(self.states) if state.healthy]
        if not candidates:
            return None
        match self.policy:
            case "first":
                return candidates[0]
            case "random":
                return random.choice(candidates)  # noqa: S311 - load, no secret
            case "least_connections":
                return min(candidates, key=lambda i: self.states[i].active)
            case "client_ip":
                # Rendezvous hashing: where one goes away, only its own clients move.
                return max(candidates, key=lambda i: _weight(client, self.states[i].name))
        count = len(self.states)
        chosen = min(candidates, key=lambda i: (i - self._turn) % count)
        self._turn = (chosen + 1) % count
        return chosen


def _weight(client: str, upstream: str) -> bytes:
    return blake2b(f"{client}\0{upstream}".encode(), digest_size=8).digest()

"""The engine's own state, which several may want to write down at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from tests.reconcile.world import hub, make_host
from vidops.planning.plan import Action, Verb
from vidops.reconcile.engine import Engine
from vidops.resources.resource import Ref
from vidops.testing import FakeClock, FakeProcesses


class SlowLedger:
    """Notes as slowly as a worn card does."""

    def __init__(self) -> None:
        self.noted: list[Ref] = []

    def note(self, ref: Ref, applied: object) -> None:
        time.sleep(0.05)
        self.noted.append(ref)


async def test_two_who_settle_at_once_note_each_thing_once() -> None:
    ledger = SlowLedger()
    unused: Any = None
    engine = Engine(
        host=make_host(FakeClock(), FakeProcesses()), drivers={}, ledger=cast(Any, ledger), compiler=unused,
        read=unused, scan=unused,
    )  # fmt: skip
    engine._noted(Action(Verb.CREATE, hub().ref, new=hub()))
    await asyncio.gather(engine.settle(), engine.settle())
    assert ledger.noted == [hub().ref]

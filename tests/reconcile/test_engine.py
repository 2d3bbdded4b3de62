"""The engine by itself: what it writes down, and what it had to leave out at its start."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Literal, cast

from tests.reconcile.world import LAYOUT, hub, make_host
from vidops.api import Device, PermanentError, SourceBuild, SourceType
from vidops.planning.plan import Action, Verb
from vidops.reconcile.compiler import Compiler
from vidops.reconcile.drivers import drivers
from vidops.reconcile.engine import Engine, Request
from vidops.resources.catalogue import Catalogue, PluginInfo
from vidops.resources.layout import Layout
from vidops.resources.resource import Ref
from vidops.resources.specs import Program
from vidops.runtime.state import State
from vidops.testing import FakeClock, FakeProcesses

STACK = b"""\
apiVersion: vidops/v1
devices:
  good: {source: plain}
  moody: {source: moody}
  lost: {source: lost}
"""


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


class Plain(Device):
    source: Literal["plain", "moody"]


async def test_an_entry_that_was_left_out_at_a_start_is_tried_again(tmp_path: Path) -> None:
    mood = ["bad"]

    def build(options: Plain, context: object) -> SourceBuild:
        if options.source in mood:
            raise PermanentError("not today")
        return SourceBuild(Program(argv=(options.source,)))

    kinds = [SourceType(name, Plain, build) for name in ("plain", "moody")]
    broken = PluginInfo("broken", "somewhere", error="RuntimeError")
    compiler = Compiler(Catalogue.of(kinds, [broken]), {}, lambda _data, _base: LAYOUT, {})
    (tmp_path / "state").mkdir()
    state = State(Layout(f"{tmp_path}/run", f"{tmp_path}/state", f"{tmp_path}/data"))

    async def scan() -> tuple[()]:
        return ()

    host = make_host(FakeClock(), FakeProcesses())
    engine = Engine(
        host=host, drivers=drivers(host), ledger=state, compiler=compiler, read={"stack.yaml": STACK}.__getitem__,
        scan=scan,
    )  # fmt: skip

    def left_out() -> set[str]:
        assert engine.memory.compiled is not None
        return {name for _, name in engine.memory.compiled.unavailable}

    def running() -> set[str]:
        return {ref.name for ref in engine.memory.applied if ref.kind == "source"}

    try:
        mood[:] = ["moody"]
        await engine.begin("stack.yaml")
        assert (running(), left_out()) == ({"good"}, {"moody", "lost"})
        await engine.iterate(Request("devices changed"))
        assert (running(), left_out()) == ({"good"}, {"moody", "lost"})
        mood.clear()
        await engine.iterate(Request("devices changed"))
        assert (running(), left_out()) == ({"good", "moody"}, {"lost"}), "what came about is not called left out"
        mood[:] = ["moody"]
        await engine.iterate(Request("devices changed"))
        assert (running(), left_out()) == ({"good", "moody"}, {"moody", "lost"}), "what runs is left as it is"
    finally:
        await engine.close()
        state.close()

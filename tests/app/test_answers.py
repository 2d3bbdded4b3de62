"""Who runs and does not answer: how long that is borne."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from vidops.app.answers import MOST_PATIENCE, PATIENCE, Answers
from vidops.errors import TemporaryError
from vidops.ports import ProcessState


class World:
    """A process that runs, and answers where it is told to."""

    def __init__(self) -> None:
        self.killed: list[str] = []
        self.answering = False
        host = SimpleNamespace(processes=self)
        observer = SimpleNamespace(states={"gateway.main": ProcessState("gateway.main", "RUNNING", pid=7)})
        self.answers = Answers(cast(Any, SimpleNamespace(host=host)), cast(Any, None), cast(Any, observer))

    async def signal(self, program: str, signal: str) -> None:
        self.killed.append(signal)

    async def _status(self) -> dict[str, Any]:
        if not self.answering:
            raise TemporaryError("it does not answer", reason="Down")
        return {}

    async def asks(self, times: int) -> int:
        """Ask so often; how often it was killed for that."""
        before = len(self.killed)
        for _ in range(times):
            await self.answers._ask("gateway.main", self._status)
        return len(self.killed) - before


async def test_one_that_never_comes_up_is_given_ever_more_time() -> None:
    world = World()
    patience = PATIENCE
    for _ in range(6):
        assert await world.asks(patience - 1) == 0
        assert await world.asks(1) == 1
        patience = min(2 * patience, MOST_PATIENCE)
    assert patience == MOST_PATIENCE


async def test_an_answer_ends_the_count() -> None:
    world = World()
    assert await world.asks(PATIENCE) == 1
    world.answering = True
    assert await world.asks(1) == 0
    world.answering = False
    assert await world.asks(PATIENCE - 1) == 0
    assert await world.asks(1) == 1

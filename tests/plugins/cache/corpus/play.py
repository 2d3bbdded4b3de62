"""Plays cases: the origin that they need, the gateway between, and whether what came is what was to come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.gateway.client import Answer, Client
from tests.gateway.world import World, route, until
from tests.plugins.cache.corpus.table import Case, Comes, Step, lines
from tests.plugins.proxy.upstream import Heard, Service

STEP = "x-step"
"""A field of every answer of the origin: the step that it was made for."""
ORIGIN = (Comes.NEW, Comes.CHECKED, Comes.MEANWHILE, Comes.INSTEAD, Comes.BROKEN)
"""What the origin has to do with."""
CONDITIONS = ("if-none-match", "if-modified-since")


@dataclass
class Origin:
    """Says what the step that is being played says, by the first two parts of a path."""

    service: Service = field(default_factory=Service)
    playing: dict[str, tuple[int, Step]] = field(default_factory=dict)

    async def start(self) -> None:
        self.service.talk = self._talk
        await self.service.start()

    def heard(self, here: str) -> list[Heard]:
        return [heard for heard in self.service.heard if _begin(heard) == here]

    async def _talk(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard.take(reader)
        number, step = self.playing[_begin(heard)]
        if step.hangs_up:
            writer.close()
            return
        fields = {"date": 0, **step.fields}
        body = f"answer {number}" if step.body is None else step.body
        bodiless = step.says in (204, 304) or heard.first.startswith("HEAD ")
        head = [f"HTTP/1.1 {step.says} Said"]
        if step.says != 304:  # which would change the field of what is stored
            head.append(f"{STEP}: {number}")
        head += [f"{name}: {value}" for name, value in lines(fields, _begin(heard))]
        if step.says not in (204, 304) and "content-length" not in fields:
            head.append(f"content-length: {len(body)}")
        if step.hint:
            writer.write(f"HTTP/1.1 103 Early Hints\r\nlink: {step.hint}\r\n\r\n".encode())
        writer.write("\r\n".join([*head, "", "" if bodiless else body]).encode("latin-1"))


def _begin(heard: Heard) -> str:
    return "/".join(heard.first.split()[1].partition("?")[0].split("/")[:3])


@dataclass
class Theatre:
    """One gateway and one origin for all cases: each has a path of its own."""

    origin: Origin = field(default_factory=Origin)
    world: World = field(default_factory=World)
    played: int = 0

    async def start(self) -> None:
        await self.origin.start()
        # What fails in a case is that case's: it is not tried again, and the origin stays in use.
        options = {
            "upstreams": [self.origin.service.url],
            "retry": {"attempts": 1},
            "circuit_breaker": {"failures": 1000},
        }
        caches = {"plain": {}, "told": {"targeted": ["CDN-Cache-Control"]}, "timed": {"ttl": "1h"}}
        await self.world.start(
            [
                route(f"/{name}/**", "proxy", chain=[{"type": "cache", "options": cache}], **options)
                for name, cache in caches.items()
            ]
        )

    async def stop(self) -> None:
        await self.world.close()
        await self.origin.service.stop()

    async def play(self, case: Case) -> None:
        self.played += 1
        here = f"/{case.route}/{self.played}"
        last = 0
        for number, step in enumerate(case.steps, 1):
            self.origin.playing[here] = number, step
            before = len(self.origin.heard(here))
            answer = await self._ask(here, step)
            if step.comes is Comes.MEANWHILE:
                await until(lambda b=before: len(self.origin.heard(here)) > b, "the origin is asked")
            heard = self.origin.heard(here)[before:]
            came = self._came(answer, heard, number)
            assert came is step.comes, f"step {number}: {came.value}, and not {step.comes.value}"
            if came in (Comes.STORED, Comes.CHECKED, Comes.MEANWHILE, Comes.INSTEAD):
                assert answer.headers[STEP] == str(step.of or last), f"step {number}"
            _compare(answer, heard, step, here, f"step {number}")
            if came is Comes.NEW:
                last = number

    async def _ask(self, here: str, step: Step) -> Answer:
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines(step.asks, here))
        body = b"a change" if step.method in ("POST", "PUT", "PATCH") else b""
        async with await Client.connect(self.world.port) as client:
            answer = await client.get(here + step.path, method=step.method, headers=fields, body=body)
            if step.hint:
                assert (answer.status, answer.headers) == (103, {"link": step.hint})
                answer = await client.answer()
            return answer

    @staticmethod
    def _came(answer: Answer, heard: list[Heard], number: int) -> Comes:
        """What happened, as the two ends have seen it."""
        if STEP not in answer.headers:
            return Comes.BROKEN if heard else Comes.REFUSED
        if answer.headers[STEP] == str(number):
            return Comes.NEW
        if not heard:
            return Comes.STORED
        note = answer.headers["cache-status"]
        if "hit" in note:
            return Comes.MEANWHILE
        asked = any(heard[-1].get(name) is not None for name in CONDITIONS)
        return Comes.CHECKED if "fwd-status=304" in note and asked else Comes.INSTEAD


def _compare(answer: Answer, heard: list[Heard], step: Step, here: str, where: str) -> None:
    assert answer.status == step.status, where
    for name, value in lines(step.has, here):
        assert answer.headers.get(name) == value, f"{where}: {name}"
    for name in step.lacks:
        assert name not in answer.headers, f"{where}: {name}"
    if step.content is not None:
        assert answer.body == step.content.encode(), where
    elif step.status == 200 and step.comes in (Comes.NEW, Comes.STORED, Comes.CHECKED) and step.body is None:
        expected = "" if step.method == "HEAD" else f"answer {answer.headers[STEP]}"
        assert answer.body.decode() in (expected, ""), where
    if step.aged is not None:
        assert step.aged <= int(answer.headers["age"]) <= step.aged + 60, where
    for name, said in step.told.items():
        assert heard[-1].get(name) == said, f"{where}: {name}"

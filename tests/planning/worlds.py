"""Made-up worlds of resources, of all kinds and with dependencies, for the laws of planning."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from vidops.planning.plan import Applied, Plan, after
from vidops.resources.resource import Ref, Resource, Spec
from vidops.resources.specs import (
    CaptureSpec,
    Entry,
    GatewaySpec,
    HubSpec,
    LoopbackSpec,
    OnDemand,
    Program,
    RouteSpec,
    SourceSpec,
)

HUB = Ref("hub", "hub")
NAMES = "abcd"


def program(dice: random.Random) -> Program:
    return Program(
        argv=tuple(dice.choice("xyz") for _ in range(dice.randint(1, 3))),
        env={name: dice.choice("12") for name in "AB" if dice.random() < 0.3},
    )


def entry(dice: random.Random) -> Entry:
    return Entry(type=dice.choice("pq"), options={name: dice.randint(0, 2) for name in "mn" if dice.random() < 0.5})


def route(dice: random.Random) -> RouteSpec:
    chain = tuple(entry(dice) for _ in range(dice.randint(0, 2)))
    return RouteSpec(path=dice.choice(["/", "/a/**"]), chain=chain, handler=entry(dice))


def source(dice: random.Random) -> SourceSpec:
    return SourceSpec(
        camera="c",
        program=program(dice) if dice.random() < 0.8 else None,
        missing=dice.choice(["", "none"]),
        on_demand=OnDemand(close_after=seconds(dice)) if dice.random() < 0.5 else None,
        start_timeout=seconds(dice),
        description={name: dice.randint(0, 1) for name in "fg" if dice.random() < 0.5},
    )


def capture(dice: random.Random) -> CaptureSpec:
    return CaptureSpec(
        camera=dice.choice(NAMES), program=program(dice), spool="/s", suffix=".mp4", path=dice.choice("pq")
    )


def loopback(dice: random.Random) -> LoopbackSpec:
    return LoopbackSpec(camera=dice.choice(NAMES), program=program(dice), stall_timeout=seconds(dice))


def gateway(dice: random.Random) -> GatewaySpec:
    return GatewaySpec(
        program=Program(argv=("g",)),
        bind=dice.choice([("a:1",), ("a:2", "b:1")]),
        routes=tuple(route(dice) for _ in range(dice.randint(0, 3))),
        drain_timeout=seconds(dice),
    )


def seconds(dice: random.Random) -> float:
    return dice.choice([1.0, 2.0, 3.5])


def needs_of(ref: Ref, spec: Any, cameras: Iterable[str]) -> tuple[Ref, ...]:
    if isinstance(spec, CaptureSpec | LoopbackSpec) and spec.camera in cameras:
        return (HUB, Ref("source", spec.camera))
    return () if ref == HUB else (HUB,)


def world(seed: int) -> tuple[Resource, ...]:
    """Resources as a desire would give them, in any order. Few values, so that two worlds have much in common."""
    dice = random.Random(seed)
    specs: dict[Ref, Spec] = {HUB: HubSpec(program=program(dice))}
    for kind, make in (("source", source), ("loopback", loopback), ("capture", capture), ("gateway", gateway)):
        for name in NAMES:
            if dice.random() < 0.4:
                specs[Ref(kind, name)] = make(dice)
    cameras = [ref.name for ref in specs if ref.kind == "source"]
    made = [Resource(ref, spec, needs_of(ref, spec, cameras)) for ref, spec in specs.items()]
    dice.shuffle(made)
    return tuple(made)


# Drawn by seed: drawing every field of some twenty resources takes hypothesis a hundred times as long.
seeds = st.integers(0, 2**32)
worlds = seeds.map(world)
specs = st.builds(lambda make, seed: make(random.Random(seed)), st.sampled_from([source, capture, gateway]), seeds)


def applied_of(resources: Iterable[Resource]) -> dict[Ref, Applied]:
    """What is remembered once all of them are real."""
    return {r.ref: Applied(r.ref, r.data, r.fingerprint) for r in resources}


def apply(made: Plan, applied: dict[Ref, Applied]) -> dict[Ref, Applied]:
    """The memory after every step of a plan was taken."""
    applied = dict(applied)
    for action in made.actions:
        after(action, applied)
    return applied


def shuffled(value: Any, seed: int) -> Any:
    """A document with the keys of all its mappings in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.Random(seed).shuffle(keys)
        return {key: shuffled(value[key], seed + 1) for key in keys}
    return [shuffled(item, seed + 1) for item in value] if isinstance(value, list) else value


def many(count: int, *, argument: str = "x") -> Sequence[Resource]:
    """A host with `count` resources: a hub, cameras with a recording each, and some gateways."""
    made = [Resource(HUB, HubSpec(program=Program(argv=("hub",))))]
    for i in range((count - 1) // 2):
        source = Ref("source", f"camera-{i}")
        program = Program(argv=("ffmpeg", "-i", f"{argument}-{i}", *(f"-option-{n}" for n in range(30))))
        made.append(Resource(source, SourceSpec(camera=source.name, program=program), (HUB,)))
        capture = CaptureSpec(camera=source.name, program=program, spool="/s", suffix=".mp4", path="p")
        made.append(Resource(Ref("capture", source.name), capture, (HUB, source)))
    return made

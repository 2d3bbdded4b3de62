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

programs = st.builds(
    Program,
    argv=st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=3).map(tuple),
    env=st.dictionaries(st.sampled_from("AB"), st.sampled_from("12"), max_size=2),
)
seconds = st.sampled_from([1.0, 2.0, 3.5])
entries = st.builds(
    Entry, type=st.sampled_from("pq"), options=st.dictionaries(st.sampled_from("mn"), st.integers(0, 2))
)
routes = st.builds(
    RouteSpec, path=st.sampled_from(["/", "/a/**"]), chain=st.lists(entries, max_size=2).map(tuple), handler=entries
)
sources = st.builds(
    SourceSpec,
    camera=st.just("c"),
    program=programs | st.none(),
    missing=st.sampled_from(["", "none"]),
    on_demand=st.none() | st.builds(OnDemand, close_after=seconds),
    start_timeout=seconds,
    description=st.dictionaries(st.sampled_from("fg"), st.integers(0, 1)),
)
captures = st.builds(
    CaptureSpec,
    camera=st.sampled_from(NAMES),
    program=programs,
    spool=st.just("/s"),
    suffix=st.just(".mp4"),
    path=st.sampled_from(["p", "q"]),
)
loopbacks = st.builds(LoopbackSpec, camera=st.sampled_from(NAMES), program=programs, stall_timeout=seconds)
gateways = st.builds(
    GatewaySpec,
    program=st.just(Program(argv=("g",))),
    bind=st.sampled_from([("a:1",), ("a:2", "b:1")]),
    routes=st.lists(routes, max_size=3).map(tuple),
    drain_timeout=seconds,
)


def needs_of(ref: Ref, spec: Any, cameras: Iterable[str]) -> tuple[Ref, ...]:
    if isinstance(spec, CaptureSpec | LoopbackSpec) and spec.camera in cameras:
        return (HUB, Ref("source", spec.camera))
    return () if ref == HUB else (HUB,)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Resource, ...]:
    """Resources as a desire would give them, in any order."""
    specs: dict[Ref, Spec] = {HUB: HubSpec(program=draw(programs))}
    for kind, strategy in (("source", sources), ("loopback", loopbacks), ("capture", captures), ("gateway", gateways)):
        for name, spec in draw(st.dictionaries(st.sampled_from(NAMES), strategy, max_size=3)).items():
            specs[Ref(kind, name)] = spec
    cameras = [ref.name for ref in specs if ref.kind == "source"]
    made = [Resource(ref, spec, needs_of(ref, spec, cameras)) for ref, spec in specs.items()]
    return tuple(draw(st.permutations(made)))


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

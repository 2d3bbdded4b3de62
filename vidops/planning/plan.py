"""The plan: what has to be done so that what is applied becomes what is desired. Pure.

plan(desired, applied_of(desired)) is empty; applying a plan and planning again gives nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vidops.planning.diff import Change, changes, heaviest
from vidops.planning.graph import topological
from vidops.resources.impact import Impact
from vidops.resources.resource import JSON, Ref, Resource
from vidops.resources.specs import KINDS


@dataclass(frozen=True, slots=True)
class Applied:
    """What was made real, as the inventory remembers it. `generation` counts the specs it has had, from 1."""

    ref: Ref
    data: JSON
    fingerprint: str
    generation: int = 1


class Verb(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Action:
    """One step. `new` is None for a deletion, `old` for a creation; `changes` are an update's."""

    verb: Verb
    ref: Ref
    old: Applied | None = None
    new: Resource | None = None
    changes: tuple[Change, ...] = ()

    @property
    def impact(self) -> Impact:
        return heaviest(self.changes) if self.verb is Verb.UPDATE else Impact.REPLACE


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order to take them: deletions first, later waves before earlier ones; then the rest, each after
    what it depends on."""

    actions: tuple[Action, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.actions)

    def count(self, verb: Verb) -> int:
        return sum(a.verb is verb for a in self.actions)

    def batches(self) -> Sequence[Sequence[Action]]:
        """The steps cut into runs that can be taken side by side: one verb class and one wave a run, and none with
        what it depends on (a gateway's other workers come after its first, which opens what all of them listen on)."""
        runs: list[list[Action]] = []
        last: tuple[bool, int] | None = None
        inside: set[Ref] = set()
        for action in self.actions:
            group = (action.verb is Verb.DELETE, wave_of(action.ref))
            needs = action.new.depends_on if action.new is not None else ()
            if group != last or not inside.isdisjoint(needs):
                runs.append([])
                last, inside = group, set()
            runs[-1].append(action)
            inside.add(action.ref)
        return runs


def plan(desired: Iterable[Resource], applied: Mapping[Ref, Applied], keep: frozenset[Ref] = frozenset()) -> Plan:
    """Steps from `applied` to `desired`. References in `keep` are left as they are (their plugin is broken)."""
    wanted: dict[Ref, Resource] = {}
    for resource in desired:
        if resource.ref in wanted:
            raise ValueError(f"{resource.ref} is desired twice")
        wanted[resource.ref] = resource
    gone = [a for ref, a in applied.items() if ref not in wanted and ref not in keep]
    gone.sort(key=lambda a: (-wave_of(a.ref), a.ref))
    steps = [Action(Verb.DELETE, a.ref, old=a) for a in gone]
    todo = {
        ref: action
        for ref, resource in wanted.items()
        if ref not in keep and (action := step(resource, applied.get(ref))) is not None
    }
    # Updates before creations in a wave: they may release what a creation needs (a port, a device).
    order = topological(
        {ref: wanted[ref].depends_on for ref in todo},
        key=lambda ref: (wave_of(ref), todo[ref].verb is Verb.CREATE, leans(wanted[ref]), ref),
    )
    return Plan((*steps, *(todo[ref] for ref in order)))


def leans(resource: Resource) -> bool:
    """Whether it needs another of its own kind: those that do are taken together, after those that do not."""
    return any(ref.kind == resource.ref.kind for ref in resource.depends_on)


def step(resource: Resource, old: Applied | None) -> Action | None:
    """What one resource needs; None where it is as desired."""
    if old is None:
        return Action(Verb.CREATE, resource.ref, new=resource)
    if old.fingerprint == resource.fingerprint:
        return None
    found = changes(KINDS[resource.ref.kind].spec, old.data, resource.data)
    return Action(Verb.UPDATE, resource.ref, old=old, new=resource, changes=found) if found else None


def after(action: Action, applied: dict[Ref, Applied]) -> None:
    """Note in `applied` that `action` was taken."""
    if action.new is None:
        applied.pop(action.ref, None)
        return
    generation = action.old.generation + 1 if action.old else 1
    applied[action.ref] = Applied(action.ref, action.new.data, action.new.fingerprint, generation)


def wave_of(ref: Ref) -> int:
    kind = KINDS.get(ref.kind)
    return kind.wave if kind else 0

"""The laws of planning, on made-up worlds."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tests.planning.worlds import HUB, applied_of, apply, specs, worlds
from vidops.planning.diff import changes, field_impacts, heaviest
from vidops.planning.plan import Plan, Verb, plan, wave_of
from vidops.planning.show import lines, to_json
from vidops.resources.impact import Impact
from vidops.resources.resource import Ref, Resource
from vidops.resources.specs import KINDS


@given(worlds)
def test_what_is_as_desired_needs_nothing(world: tuple[Resource, ...]) -> None:
    assert not plan(world, applied_of(world))


@given(worlds, worlds)
def test_after_a_plan_there_is_nothing_left_to_plan(before: tuple[Resource, ...], wanted: tuple[Resource, ...]) -> None:
    applied = apply(plan(wanted, applied_of(before)), applied_of(before))
    assert not plan(wanted, applied)
    assert {ref: a.fingerprint for ref, a in applied.items()} == {r.ref: r.fingerprint for r in wanted}


@given(worlds, worlds, st.data())
def test_a_plan_that_stops_half_way_is_finished_by_the_next(
    before: tuple[Resource, ...], wanted: tuple[Resource, ...], draw: st.DataObject
) -> None:
    first = plan(wanted, applied_of(before))
    taken = draw.draw(st.integers(0, len(first.actions)))
    applied = apply(Plan(first.actions[:taken]), applied_of(before))
    rest = plan(wanted, applied)
    assert {a.ref for a in rest.actions} == {a.ref for a in first.actions[taken:]}
    assert not plan(wanted, apply(rest, applied))


@given(worlds, worlds, st.integers())
def test_the_order_of_what_goes_in_changes_nothing(
    before: tuple[Resource, ...], wanted: tuple[Resource, ...], seed: int
) -> None:
    applied = applied_of(before)
    other = list(wanted)
    random.Random(seed).shuffle(other)
    turned = dict(sorted(applied.items(), reverse=True))
    assert plan(other, turned).actions == plan(wanted, applied).actions


@given(worlds, worlds)
def test_steps_come_in_an_order_that_works(before: tuple[Resource, ...], wanted: tuple[Resource, ...]) -> None:
    actions = plan(wanted, applied_of(before)).actions
    place = {action.ref: i for i, action in enumerate(actions)}
    for action in actions:
        for need in action.new.depends_on if action.new else ():
            assert place.get(need, -1) < place[action.ref]
    deletions = [a for a in actions if a.verb is Verb.DELETE]
    assert list(actions[: len(deletions)]) == deletions
    waves = [wave_of(a.ref) for a in deletions]
    assert waves == sorted(waves, reverse=True)


@given(worlds, worlds)
def test_every_resource_is_touched_at_most_once_and_only_for_a_reason(
    before: tuple[Resource, ...], wanted: tuple[Resource, ...]
) -> None:
    old, new = {r.ref: r for r in before}, {r.ref: r for r in wanted}
    actions = plan(wanted, applied_of(before)).actions
    verbs = {a.ref: a.verb for a in actions}
    assert len(verbs) == len(actions)
    for ref in old.keys() | new.keys():
        if ref not in new:
            assert verbs[ref] is Verb.DELETE
        elif ref not in old:
            assert verbs[ref] is Verb.CREATE
        elif old[ref].data != new[ref].data:
            assert verbs[ref] is Verb.UPDATE
        else:
            assert ref not in verbs


@given(worlds, st.data())
def test_an_edit_leaves_what_is_unrelated_alone(world: tuple[Resource, ...], draw: st.DataObject) -> None:
    edited = draw.draw(st.sampled_from(world))
    program = edited.spec.program if edited.ref.kind != "source" else None  # type: ignore[attr-defined]
    changed = (
        edited.spec.model_copy(update={"program": program.model_copy(update={"argv": ("other",)})})
        if program
        else edited.spec.model_copy(update={"start_timeout": 99.0})
    )
    wanted = [Resource(r.ref, changed if r.ref == edited.ref else r.spec, r.depends_on) for r in world]
    assert [a.ref for a in plan(wanted, applied_of(world)).actions] == [edited.ref]


@given(worlds, worlds, st.sets(st.builds(Ref, st.sampled_from(list(KINDS)), st.sampled_from("abcd"))))
def test_what_is_kept_is_not_touched(
    before: tuple[Resource, ...], wanted: tuple[Resource, ...], keep: set[Ref]
) -> None:
    full = plan(wanted, applied_of(before))
    rest = plan(wanted, applied_of(before), frozenset(keep))
    assert {a.ref for a in rest.actions} == {a.ref for a in full.actions} - keep


@given(worlds, worlds)
def test_runs_hold_every_step_once_and_in_order(before: tuple[Resource, ...], wanted: tuple[Resource, ...]) -> None:
    made = plan(wanted, applied_of(before))
    runs = made.batches()
    assert [action for run in runs for action in run] == list(made.actions)
    for run in runs:
        assert len({(a.verb is Verb.DELETE, wave_of(a.ref)) for a in run}) == 1
        together = {a.ref for a in run}
        assert not any(together.intersection(a.new.depends_on) for a in run if a.new is not None)


@given(worlds, worlds)
def test_generations_count_specs(before: tuple[Resource, ...], wanted: tuple[Resource, ...]) -> None:
    applied = apply(plan(before, {}), {})
    assert {a.generation for a in applied.values()} == {1}
    made = plan(wanted, applied)
    updated = {a.ref for a in made.actions if a.verb is Verb.UPDATE}
    for ref, item in apply(made, applied).items():
        assert item.generation == (2 if ref in updated else 1)


@given(worlds, worlds)
def test_a_plan_can_be_shown(before: tuple[Resource, ...], wanted: tuple[Resource, ...]) -> None:
    made = plan(wanted, applied_of(before))
    shown = list(lines(made))
    assert len(shown) == len(made.actions) + 1
    data = to_json(made)
    assert [f"{a['kind']}/{a['name']}" for a in data["actions"]] == [str(a.ref) for a in made.actions]
    assert data["create"] + data["update"] + data["delete"] == len(made.actions)


@given(specs, specs)
def test_what_differs_is_found_and_nothing_else(one: object, other: object) -> None:
    if type(one) is not type(other):
        return
    old, new = one.model_dump(mode="json"), other.model_dump(mode="json")  # type: ignore[attr-defined]
    found = changes(type(one), old, new)  # type: ignore[arg-type]
    impacts = field_impacts(type(one))  # type: ignore[arg-type]
    assert changes(type(one), old, old) == ()  # type: ignore[arg-type]
    assert {c.path.partition(".")[0].partition("[")[0] for c in found} == {k for k in old if old[k] != new[k]}
    for change in found:
        assert change.impact is impacts[change.path.partition(".")[0].partition("[")[0]]
    assert heaviest(found) == max((c.impact for c in found), key=lambda i: i.weight, default=Impact.NONE)
    mirrored = changes(type(one), new, old)  # type: ignore[arg-type]
    assert {c.path for c in mirrored} == {c.path for c in found}


@given(specs)
def test_a_field_that_an_older_version_did_not_have_is_no_change(spec: object) -> None:
    new = spec.model_dump(mode="json")  # type: ignore[attr-defined]
    defaults = {name for name, info in type(spec).model_fields.items() if not info.is_required()}  # type: ignore[attr-defined]
    for name in defaults:
        old = {key: value for key, value in new.items() if key != name}
        whole = type(spec).model_validate(old).model_dump(mode="json")  # type: ignore[attr-defined]
        assert bool(changes(type(spec), old, new)) == (whole != new)  # type: ignore[arg-type]


def test_what_cannot_be_read_any_more_is_replaced() -> None:
    found = changes(KINDS["hub"].spec, {"unknown": 1}, {"program": None})
    assert [(c.path, c.impact) for c in found] == [("", Impact.REPLACE)]
    assert wave_of(HUB) == 0

"""A plan as people and programs read it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vidops.planning.plan import Action, Plan, Verb
from vidops.resources.resource import JSON

SIGNS = {Verb.CREATE: "+", Verb.UPDATE: "~", Verb.DELETE: "-"}
MOST_PATHS = 4


def lines(plan: Plan) -> Iterator[str]:
    """`~ gateway/public  reload  (routes[2].handler.options.upstream)`, then a line that counts."""
    width = max((len(str(a.ref)) for a in plan.actions), default=0)
    for action in plan.actions:
        yield f"{SIGNS[action.verb]} {str(action.ref).ljust(width)}  {cost(action)}".rstrip()
    yield summary(plan)


def cost(action: Action) -> str:
    """`create`, `delete`, or an update's impact with the fields that cause it."""
    if action.verb is not Verb.UPDATE:
        return action.verb.value
    paths = [c.path for c in action.changes if c.path]
    shown = ", ".join(paths[:MOST_PATHS]) + (f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else "")
    return f"{action.impact.value}  ({shown})" if shown else action.impact.value


def summary(plan: Plan) -> str:
    if not plan:
        return "No changes: what runs matches the file."
    counts = {verb: plan.count(verb) for verb in Verb}
    return f"Plan: {counts[Verb.CREATE]} to create, {counts[Verb.UPDATE]} to update, {counts[Verb.DELETE]} to delete."


def to_json(plan: Plan) -> JSON:
    return {
        "actions": [
            {
                "verb": a.verb.value,
                "kind": a.ref.kind,
                "name": a.ref.name,
                "impact": a.impact.value,
                "changes": [{"path": c.path, "impact": c.impact.value} for c in a.changes],
            }
            for a in plan.actions
        ],
        "create": plan.count(Verb.CREATE),
        "update": plan.count(Verb.UPDATE),
        "delete": plan.count(Verb.DELETE),
    }

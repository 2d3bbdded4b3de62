"""`vidops plan FILE`: what an apply would change, and what each change costs."""

from __future__ import annotations

import os
from typing import Any

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.command("plan")
@click.argument("file", type=click.Path())
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 where there are changes (0: none, 1: error).")
@output.format_option
@click.pass_context
def command(ctx: click.Context, file: str, detailed_exitcode: bool, form: str) -> int:
    """Show what applying FILE would change: against what the control plane has applied, or, where none runs,
    against what was applied last on this host (nothing, on a build machine)."""
    plan = make(ctx, file)
    show(plan, form)
    return 2 if detailed_exitcode and plan["actions"] else 0


def make(ctx: click.Context, file: str) -> dict[str, Any]:
    """The plan as JSON, from the control plane or made here."""
    from vidops.control.client import ControlClient, NotRunningError

    host = settings(ctx)
    try:
        answer: dict[str, Any] = ControlClient(host.layout().control_socket).post(
            "/v1/plan", {"path": os.path.abspath(file)}
        )
    except NotRunningError:
        return _alone(host, file)
    return answer


def show(plan: dict[str, Any], form: str) -> None:
    if form == "table":
        output.plan_lines(output.plan_of(plan))
    else:
        output.data(plan, form)


def _alone(host: Any, file: str) -> dict[str, Any]:
    from vidops.cli._stack import compile_stack, state_of
    from vidops.planning.plan import plan
    from vidops.planning.show import to_json

    compiled = compile_stack(host, file)
    with state_of(compiled.layout) as state:
        applied = state.inventory() if state else {}
    return to_json(plan(compiled.resources, applied))

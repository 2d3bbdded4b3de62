"""`vidops diff FILE`: plan, with diff(1)'s exit codes."""

from __future__ import annotations

import click

from vidops.cli import output
from vidops.cli.plan import make, show
from vidops.errors import VidopsError


@click.command("diff")
@click.argument("file", type=click.Path())
@output.format_option
@click.pass_context
def command(ctx: click.Context, file: str, form: str) -> int:
    """Compare FILE with what is applied. Exit code 0: the same, 1: differs, 2: error."""
    try:
        plan = make(ctx, file)
    except VidopsError as error:
        output.error(str(error))
        return 2
    show(plan, form)
    return 1 if plan["actions"] else 0

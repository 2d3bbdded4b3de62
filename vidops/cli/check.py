"""`vidops check FILE`: all errors at once, with places and suggestions. Touches nothing."""

from __future__ import annotations

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.command("check")
@click.argument("file", type=click.Path())
@output.format_option
@click.pass_context
def command(ctx: click.Context, file: str, form: str) -> int:
    """Check a stack FILE: syntax, types, names, references. Exit code 1 where anything is wrong."""
    from vidops.cli._stack import compile_stack
    from vidops.errors import StackError

    try:
        compiled = compile_stack(settings(ctx), file)
    except StackError as error:
        if form == "table":
            raise
        output.data({"ok": False, "problems": [_json(p) for p in error.problems]}, form)
        return 1
    counts: dict[str, int] = {}
    for resource in compiled.resources:
        counts[resource.ref.kind] = counts.get(resource.ref.kind, 0) + 1
    if form != "table":
        output.data({"ok": True, "stack": compiled.name, "resources": counts}, form)
        return 0
    click.echo(f"{file}: ok ({', '.join(f'{n} {kind}' for kind, n in counts.items())})")
    return 0


def _json(problem: object) -> dict[str, object]:
    from vidops.control.problems import to_json
    from vidops.errors import Problem

    assert isinstance(problem, Problem)
    return to_json(problem)

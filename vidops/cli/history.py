"""`vidops history`."""

from __future__ import annotations

from datetime import datetime

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.command("history")
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@output.format_option
@click.pass_context
def command(ctx: click.Context, limit: int, form: str) -> int:
    """List the revisions that were committed on this host, newest first."""
    from vidops.cli._stack import state_of

    with state_of(settings(ctx).layout()) as state:
        found = state.history(limit) if state else []
    rows = [{"revision": r.number, "time": r.time, "path": r.path, "message": r.message} for r in found]
    if form != "table":
        output.data(rows, form)
        return 0
    output.table(
        ("REVISION", "TIME", "WHY", "PATH"),
        (
            (str(r.number), datetime.fromtimestamp(r.time).strftime("%Y-%m-%d %H:%M:%S"), r.message, r.path)
            for r in found
        ),
    )
    return 0

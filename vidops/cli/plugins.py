"""`vidops plugins`."""

from __future__ import annotations

from dataclasses import asdict

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.command("plugins")
@output.format_option
@click.pass_context
def command(ctx: click.Context, form: str) -> int:
    """List plugins: name, version, where from, what they register, and why one did not load."""
    from vidops.cli._stack import plugin_sources
    from vidops.runtime.plugins import load_catalogue

    found = load_catalogue(plugin_sources(settings(ctx))).plugins
    if form != "table":
        output.data([asdict(p) for p in found], form)
        return 0
    output.table(
        ("PLUGIN", "VERSION", "FROM", "REGISTERS", "ERROR"),
        ((p.name, p.version or "-", p.origin, " ".join(p.registers) or "-", p.error) for p in found),
    )
    return 0

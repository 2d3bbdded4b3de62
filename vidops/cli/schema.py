"""`vidops schema`."""

from __future__ import annotations

import json

import click

from vidops.cli.root import settings


@click.command("schema")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Print the JSON Schema of stack files, with the options of every plugin that is installed here."""
    from vidops.cli._stack import plugin_sources
    from vidops.runtime.plugins import load_catalogue
    from vidops.stack.schema import json_schema

    print(json.dumps(json_schema(load_catalogue(plugin_sources(settings(ctx)))), indent=2, ensure_ascii=False))
    return 0

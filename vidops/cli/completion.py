"""`vidops completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the completion script of a SHELL: `eval "$(vidops completion bash)"`."""
    from vidops.cli.root import root

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(root, {}, "vidops", "_VIDOPS_COMPLETE").source())
    return 0

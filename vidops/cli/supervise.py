"""`vidops supervise`."""

from __future__ import annotations

import click

from vidops.cli.root import settings


@click.command("supervise")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Become the data plane's supervisord in the foreground. For a service manager: with it, the data plane is a
    service of its own, which no restart of the control plane touches."""
    from vidops.runtime.daemon import become_supervisord
    from vidops.runtime.locks import make_tree

    layout = settings(ctx).layout()
    make_tree(layout)
    become_supervisord(layout)

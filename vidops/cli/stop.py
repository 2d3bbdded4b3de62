"""`vidops stop`: end everything."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import click

from vidops.cli.root import settings

PATIENCE = 60.0


@click.command("stop")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Stop the control plane and all that it runs; recordings end with a whole last segment."""
    from vidops.control.client import ControlClient, NotRunningError

    layout = settings(ctx).layout()
    try:
        ControlClient(layout.control_socket).post("/v1/stop", {})
    except NotRunningError:
        return _alone(layout)
    return _wait(layout)


def _wait(layout: Any) -> int:
    """Until the control plane has let go of its lock, then whatever it was told to keep running."""
    from vidops.runtime.locks import find_holder

    deadline = time.monotonic() + PATIENCE
    while find_holder(layout) is not None:
        if time.monotonic() > deadline:
            click.echo(f"the control plane has not ended within {PATIENCE:g}s", err=True)
            return 3
        time.sleep(0.05)
    return _alone(layout, quiet=True)


def _alone(layout: Any, *, quiet: bool = False) -> int:
    """The data plane may run without a control plane."""
    import os

    from vidops.runtime import daemon

    if not os.path.exists(layout.supervisor_socket):
        if not quiet:
            click.echo("Nothing runs.")
        return 0
    asyncio.run(daemon.shutdown(layout))
    return 0

"""`vidops run FILE`: the control plane, in the foreground."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.command("run")
@click.argument("file", type=click.Path())
@click.option(
    "--on-exit",
    type=click.Choice(["stop", "keep"]),
    help="What an interrupt or SIGTERM does with the data plane: stop it (default), or keep it running.",
)
@click.pass_context
def command(ctx: click.Context, file: str, on_exit: str | None) -> int:
    """Make this host match FILE and keep it so, following every change of the file. Ctrl-C ends all of it."""
    ctx.obj["on_exit"] = on_exit
    host = settings(ctx)
    logging.basicConfig(
        level=host.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    asyncio.run(_run(host, file))
    return 0


async def _run(host: Any, file: str) -> None:
    from vidops.app.service import Service

    service = Service(host, file, ready=_say)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    await service.run()


def _say(service: Any) -> None:
    """The one line that a person waits for: where to look."""
    for name, address in service.addresses():
        print(f"{name}: {address}", flush=True)
    for failure in service.engine.memory.failures.values():
        output.error(f"{failure}; it is tried again")
    print("Ctrl-C ends it." if sys.stdout.isatty() else "vidops runs.", flush=True)

"""`vidops logs NAME`: the end of a resource's log, and what follows."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import click

from vidops.cli.root import settings
from vidops.errors import VidopsError


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on with each new line.")
@click.option("-n", "--lines", default=100, show_default=True, type=click.IntRange(0, 100_000))
@click.pass_context
def command(ctx: click.Context, name: str, follow: bool, lines: int) -> int:
    """Show the log of NAME: `source/door`, `gateway/public`, `hub`, or `supervisord`. A name that only one
    resource has is enough (`door`)."""
    from vidops.runtime.logtail import log_tail

    layout = settings(ctx).layout()
    program = find(layout, name)
    if follow:
        asyncio.run(_follow(layout, program, lines))
        return 0
    for text in log_tail(layout, program, lines):
        click.echo(text)
    return 0


def find(layout: Any, name: str) -> str:
    """The program that is meant. Raises `VidopsError` that names those there are."""
    folder = os.path.dirname(layout.log_file("x"))
    try:
        there: list[str] = sorted({entry.split(".log")[0] for entry in os.listdir(folder) if ".log" in entry})
    except FileNotFoundError:
        raise VidopsError(f"nothing has run in {layout.run_dir}") from None
    wanted = name.replace("/", ".", 1)
    if wanted in there:
        return wanted
    ending = [program for program in there if program.partition(".")[2] == name]
    if len(ending) == 1:
        return ending[0]
    which = "is not clear" if ending else "has no log"
    raise VidopsError(f"{name!r} {which}; there are: {', '.join(ending or there) or 'none'}")


async def _follow(layout: Any, program: str, lines: int) -> None:
    from vidops.runtime.logtail import follow

    async for text in follow(layout, program, lines):
        click.echo(text)

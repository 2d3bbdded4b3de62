"""`vidops apply FILE`: hand a stack file to the running control plane."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from vidops.cli import output
from vidops.cli.root import settings

TIMED_OUT = 3
LONGEST = 3600.0


@click.command("apply")
@click.argument("file", type=click.Path())
@click.option("--wait", is_flag=True, help="Wait until everything is healthy; exit with 3 where that takes too long.")
@click.option("--timeout", default="60s", show_default=True, help="How long --wait waits.")
@output.format_option
@click.pass_context
def command(ctx: click.Context, file: str, wait: bool, timeout: str, form: str) -> int:
    """Take FILE over. All or nothing: where a new gateway or camera does not come up, everything is put back as it
    was, and the exit code is 1."""
    from vidops.control.client import ControlClient, ControlError
    from vidops.stack.scalars import positive_duration

    try:
        seconds = positive_duration(timeout)
        if seconds > LONGEST:
            raise ValueError("at most an hour")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from None
    client = ControlClient(settings(ctx).layout().control_socket)
    body = {"path": os.path.abspath(file), "wait": wait, "timeout": seconds}
    try:
        answer = _post(client, body, seconds)
    except ControlError as error:
        if error.problem.get("problems"):
            output.problems(p["text"] for p in error.problem["problems"])
            return 1
        raise
    if form != "table":
        output.data(answer, form)
    else:
        output.plan_lines(output.plan_of(answer["plan"]))
        click.echo(f"Revision {answer['revision']} is in force.")
    if wait and not answer["healthy"]:
        unhealthy = [r for r in answer["status"]["resources"] if r["health"] != "Healthy" or r["sync"] != "Synced"]
        for resource in unhealthy:
            output.error(f"{resource['kind']}/{resource['name']}: {resource['reason']}: {resource['message']}")
        output.error(f"not everything is healthy after {timeout}")
        return TIMED_OUT
    return 0


def _post(client: Any, body: dict[str, Any], seconds: float) -> dict[str, Any]:
    """With a spinner on a terminal, since gates take their time."""
    timeout = seconds + 300.0
    if not sys.stderr.isatty():
        return dict(client.post("/v1/apply", body, timeout=timeout))
    from rich.console import Console

    with Console(stderr=True).status("applying, and waiting for it to work …"):
        return dict(client.post("/v1/apply", body, timeout=timeout))

"""`vidops status`: what is, on both axes."""

from __future__ import annotations

import time
from typing import Any

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.command("status")
@click.option("--watch", is_flag=True, help="Show again every second until interrupted.")
@output.format_option
@click.pass_context
def command(ctx: click.Context, watch: bool, form: str) -> int:
    """Show every resource: does it match the file, does it do its work, and if not, why not."""
    from vidops.control.client import ControlClient

    client = ControlClient(settings(ctx).layout().control_socket)
    while True:
        report = client.get("/v1/status")
        if watch and form == "table":
            click.clear()
        show(report, form)
        if not watch:
            return 0
        time.sleep(1.0)


def show(report: dict[str, Any], form: str) -> None:
    if form != "table":
        output.data(report, form)
        return
    stack = report["stack"]
    click.echo(f"{stack['name']}  revision {stack['revision']}  {report['sync']}  {report['health']}  {stack['path']}")
    output.table(
        ("RESOURCE", "SYNC", "HEALTH", "REASON", "PID", "RESTARTS", "MESSAGE"),
        (
            (
                f"{r['kind']}/{r['name']}",
                r["sync"],
                r["health"],
                r["reason"],
                str(r["pid"] or "-"),
                str(r["restarts"]),
                r["message"],
            )
            for r in report["resources"]
        ),
    )
    if report["problems"]:
        click.echo(f"{stack['path']} has errors; what ran before goes on:")
        for p in report["problems"]:
            hint = f" ({p['hint']})" if p["hint"] else ""
            click.echo(f"  {p['file']}:{p['line']}:{p['column']}: {p['path']}: {p['message']}{hint}")
    if report["rejected"]:
        click.echo(f"the newest file was not applied: {report['rejected']}")
    for trouble in report["storage"]["troubles"]:
        click.echo(f"recordings: {trouble}")

"""`vidops capture`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.group("capture")
def command() -> None:
    """Start, stop and list captures."""


@command.command("list")
@output.format_option
@click.pass_context
def list_(ctx: click.Context, form: str) -> int:
    """Show what records now, and why the rest does not."""
    rows: list[dict[str, Any]] = _client(ctx).get("/v1/captures")["captures"]
    if form != "table":
        output.data(rows, form)
        return 0
    output.table(("CAPTURE", "CAMERA", "RECORDS", "WHY", "UNTIL"), (_row(r) for r in rows))
    return 0


@command.command("start")
@click.argument("name")
@click.pass_context
def start(ctx: click.Context, name: str) -> int:
    """Have a capture with `on_demand: true` record until it is stopped, over restarts of everything."""
    return _ask(ctx, name, "start")


@command.command("stop")
@click.argument("name")
@click.pass_context
def stop(ctx: click.Context, name: str) -> int:
    """End the recording of a capture with `on_demand: true`; returns when its last segment is whole."""
    return _ask(ctx, name, "stop")


def _ask(ctx: click.Context, name: str, action: str) -> int:
    from urllib.parse import quote

    for row in _client(ctx).post(f"/v1/captures/{quote(name, safe='')}/{action}", {})["captures"]:
        reason = f" ({row['reason']})" if row.get("reason") else ""
        click.echo(f"capture {row['name']}: {'records' if row['records'] else 'does not record'}{reason}")
    return 0


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    until = datetime.fromtimestamp(row["until"]).strftime("%Y-%m-%d %H:%M:%S") if row.get("until") else ""
    return row["name"], row["camera"], "yes" if row["records"] else "no", row.get("reason", ""), until


def _client(ctx: click.Context) -> Any:
    from vidops.control.client import ControlClient

    return ControlClient(settings(ctx).layout().control_socket)

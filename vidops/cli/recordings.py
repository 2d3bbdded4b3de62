"""`vidops recordings`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from vidops.cli import output
from vidops.cli.root import settings


@click.command("recordings")
@click.argument("camera", default="")
@click.option("-n", "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@output.format_option
@click.pass_context
def command(ctx: click.Context, camera: str, limit: int, form: str) -> int:
    """List segments of CAMERA, or of all, newest first, with those that grow now. Needs no control plane."""
    from vidops.runtime.recordings import RecordingsReader

    rows: list[Any] = [dict(r) for r in RecordingsReader(_layout(ctx)).list_now(camera=camera, limit=limit)]
    if form != "table":
        output.data(rows, form)
        return 0
    output.table(
        ("CAMERA", "START", "SECONDS", "BYTES", "", "PATH"),
        (
            (
                r["camera"],
                datetime.fromtimestamp(r["start"]).strftime("%Y-%m-%d %H:%M:%S"),
                f"{r['end'] - r['start']:.1f}",
                str(r["bytes"]),
                "" if r["finished"] else "growing",
                r["path"],
            )
            for r in rows
        ),
    )
    return 0


def _layout(ctx: click.Context) -> Any:
    """Where recordings are: the running control plane's word before this shell's settings."""
    from dataclasses import replace

    from vidops.control.client import ControlClient, ControlError, NotRunningError

    host = settings(ctx)
    layout = host.layout()
    if host.data_dir:
        return layout
    try:
        return replace(layout, data_dir=ControlClient(layout.control_socket).get("/v1/status")["data_dir"])
    except (ControlError, NotRunningError):
        return layout

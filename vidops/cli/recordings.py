"""`vidops recordings`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any

import click

from vidops.cli import output
from vidops.cli.moment import Moment
from vidops.cli.root import settings
from vidops.errors import PermanentError

if TYPE_CHECKING:
    from vidops.runtime.index import RecordingsIndex


class _ListByDefault(click.Group):
    """`vidops recordings` and `vidops recordings CAMERA` are `vidops recordings list ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group("recordings", cls=_ListByDefault)
def command() -> None:
    """List recordings, keep them from retention, delete them."""


@command.command("list")
@click.argument("camera", default="")
@click.option("--capture", default="", help="Of this capture alone.")
@click.option("--from", "begin", type=Moment(), default=0.0, help='Since then: "10:00", "-15m", "2026-11-25 10:00".')
@click.option("--to", "end", type=Moment(), default=inf, help="Until then.")
@click.option("-n", "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@output.format_option
@click.pass_context
def list_(ctx: click.Context, /, camera: str, limit: int, form: str, **search: Any) -> int:
    """List segments of CAMERA, or of all, newest first, with those that grow now. Needs no control plane."""
    from vidops.runtime.index import Wanted
    from vidops.runtime.recordings import RecordingsReader

    wanted = Wanted(camera=camera, limit=limit, **search)
    rows: list[Any] = [dict(r) for r in RecordingsReader(_layout(ctx)).list_now(wanted)]
    if form != "table":
        output.data(rows, form)
        return 0
    output.table(
        ("CAMERA", "START", "SECONDS", "BYTES", "", "PATH"),
        (
            (
                r["camera"],
                _time(r["start"]),
                f"{r['end'] - r['start']:.1f}",
                str(r["bytes"]),
                "growing" if not r["finished"] else "kept" if r["kept"] else "",
                r["path"],
            )
            for r in rows
        ),
    )
    return 0


@command.command("timeline")
@click.argument("camera", default="")
@click.option("--capture", default="", help="Of this capture alone.")
@click.option("--from", "begin", type=Moment(), default="-24h", show_default=True, help="Since then.")
@click.option("--to", "end", type=Moment(), default="now", show_default=True, help="Until then.")
@output.format_option
@click.pass_context
def timeline(ctx: click.Context, /, form: str, **search: Any) -> int:
    """Show when there is footage, and what is missing and why."""
    import asyncio

    from vidops.runtime.recordings import RecordingsReader

    found: list[Any] = list(asyncio.run(RecordingsReader(_layout(ctx)).timeline(**search)))
    if form != "table":
        output.data(found, form)
        return 0
    rows = [
        (item["start"], (line["capture"], line["camera"], _time(item["start"]), _time(item["end"]), _what(item)))
        for line in found
        for item in (*line["spans"], *line["gaps"])
    ]
    rows.sort(key=lambda row: (row[1][0], row[0]))
    output.table(("CAPTURE", "CAMERA", "FROM", "TO", ""), (row for _, row in rows))
    return 0


@command.command("export")
@click.argument("camera")
@click.option("--capture", default="", help="Of this capture, where several record the camera.")
@click.option("--from", "begin", type=Moment(), required=True, help='From then: "10:00", "-15m", "2026-11-25 10:00".')
@click.option("--to", "end", type=Moment(), default="now", show_default=True, help="To then.")
@click.option("-o", "target", type=click.Path(dir_okay=False), required=True, help="The file: .mp4, .mkv, .mov, .ts")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_context
def export(ctx: click.Context, /, target: str, force: bool, **search: Any) -> int:
    """Write a span of time of CAMERA's recordings into one file, without encoding."""
    from vidops.runtime import export as exporting
    from vidops.runtime.index import Wanted
    from vidops.runtime.recordings import MAX_ROWS, RecordingsReader

    camera, begin, end = search["camera"], search["begin"], search["end"]
    if end <= begin:
        raise click.UsageError("--to must be later than --from")
    if os.path.exists(target) and not force:
        raise PermanentError(f"{target} is there already: name another file, or say --force")
    layout = _layout(ctx)
    chosen = exporting.choose(RecordingsReader(layout).finished(Wanted(limit=MAX_ROWS, **search)))
    total = exporting.seconds_of(chosen, begin, end)
    with output.progress(f"{camera} to {target}", total) as advance:
        exporting.export(layout.data_dir, chosen, begin=begin, end=end, target=target, progress=advance)
    click.echo(f"{target}: {total:.1f}s of {len(chosen)} recordings, {os.path.getsize(target)} bytes")
    return 0


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S")


def _what(item: dict[str, Any]) -> str:
    return f"missing: {item['reason']}" if "reason" in item else "recorded"


@command.command("keep")
@click.argument("paths", nargs=-1, required=True)
@click.option("--off", is_flag=True, help="Let retention have them again.")
@click.pass_context
def keep(ctx: click.Context, paths: tuple[str, ...], off: bool) -> int:
    """Keep recordings from retention. PATHS are as `vidops recordings` lists them."""
    with _index(ctx) as index:
        for path in paths:
            if not index.keep(path, not off):
                raise _unknown(path)
    return 0


@command.command("delete")
@click.argument("paths", nargs=-1, required=True)
@click.pass_context
def delete(ctx: click.Context, paths: tuple[str, ...]) -> int:
    """Delete recordings for good, kept ones too. PATHS are as `vidops recordings` lists them."""
    from vidops.runtime import retention

    with _index(ctx) as index:
        for path in paths:
            try:
                if not retention.delete(index, path):
                    raise _unknown(path)
            except OSError as error:
                raise PermanentError(f"{path}: {error.strerror}") from None
    return 0


@command.command("forget-disk")
@click.pass_context
def forget_disk(ctx: click.Context) -> int:
    """Record to the data directory as it is now, after the disk that was mounted there went away for good."""
    from vidops.control.client import ControlClient

    ControlClient(settings(ctx).layout().control_socket).post("/v1/recordings/forget-disk", {})
    return 0


def _unknown(path: str) -> PermanentError:
    return PermanentError(f"there is no finished recording {path!r}: `vidops recordings` lists them")


@contextmanager
def _index(ctx: click.Context) -> Iterator[RecordingsIndex]:
    from vidops.runtime.index import RecordingsIndex

    layout = _layout(ctx)
    if not os.path.exists(layout.recordings_index):
        raise PermanentError(f"there are no recordings in {layout.data_dir}")
    index = RecordingsIndex(layout)
    try:
        yield index
    finally:
        index.close()


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

"""`vidops recordings`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from vidops.cli import output
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
@click.option("-n", "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@output.format_option
@click.pass_context
def list_(ctx: click.Context, camera: str, limit: int, form: str) -> int:
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
                "growing" if not r["finished"] else "kept" if r["kept"] else "",
                r["path"],
            )
            for r in rows
        ),
    )
    return 0


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
    from vidops.runtime.retention import remove_recording

    with _index(ctx) as index:
        for path in paths:
            if index.find(path) is None:
                raise _unknown(path)
            try:
                remove_recording(index.data_dir, path)
            except OSError as error:
                raise PermanentError(f"{path}: {error.strerror}") from None
            index.forget([path])
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

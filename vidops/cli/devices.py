"""`vidops devices [FILE]`: what is plugged in, whose it is, and why not."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any

import click

from vidops.cli import output
from vidops.cli.root import settings

FORMATS_SHOWN = 3


@click.command("devices")
@click.argument("file", required=False, type=click.Path())
@click.option("--watch", is_flag=True, help="Go on, and tell of what comes and goes, until interrupted.")
@click.option("--suggest", is_flag=True, help="Print a stack file's entries for cameras that are no entry's yet.")
@click.option("--all", "everything", is_flag=True, help="Show nodes that are no cameras, too.")
@output.format_option
@click.pass_context
def command(ctx: click.Context, /, file: str | None, form: str, *, watch: bool, suggest: bool, everything: bool) -> int:
    """List the video devices of this host: which camera of the stack file each is, and why not.

    FILE is the stack file to match with; without it, the one that runs on this host.
    """
    from vidops.planning.suggest import suggested

    desk = Desk(settings(ctx), file)
    report = desk.look()
    if suggest:
        free = [d for d in desk.devices if d.device_path not in desk.taken]
        entries = suggested(free)
        if form == "json":
            output.data({"devices": entries}, form)
        elif entries:
            output.data({"devices": entries}, "yaml")
        else:
            click.echo(
                "every camera that is plugged in has its entry" if desk.taken else "no camera is plugged in", err=True
            )
        return 0
    if form != "table" and not watch:
        output.data(report, form)
        return 0
    if form == "table":
        show(report, everything=everything)
    if watch:
        asyncio.run(desk.watch(report, form))
    return 0


class Desk:
    """Looks at this host's devices, and at a stack file beside them."""

    def __init__(self, settings: Any, file: str | None) -> None:
        from vidops.cli._stack import plugin_sources
        from vidops.runtime.devices import HostDevices
        from vidops.runtime.plugins import load_catalogue

        self.settings = settings
        self.catalogue = load_catalogue(plugin_sources(settings))
        self.host = HostDevices(self.catalogue.scanners.values())
        self.file = file or _running_stack(settings)
        self.devices: list[Any] = []
        self.taken: set[str] = set()

    def look(self) -> dict[str, Any]:
        """`planning.matching.devices_report`. Raises `StackError` for a file with mistakes."""
        from vidops.cli._stack import compile_stack
        from vidops.planning.matching import devices_report

        self.devices = self.host.scan_now()
        if self.file is None:
            report = devices_report(self.devices)
        else:
            compiled = compile_stack(self.settings, self.file, self.devices)
            report = devices_report(self.devices, compiled.resources, compiled.stack, self.catalogue)
        self.taken = {d["device_path"] for d in report["devices"] if d["camera"]}
        return report

    async def watch(self, report: Mapping[str, Any], form: str) -> None:
        """Print a line for each device that comes, goes or is another camera's than `report` says."""
        before = {d["device_path"]: d for d in report["devices"]}
        if form != "table":
            for device in before.values():
                _say("present", device, form)
        async for _ in self.host.changes():
            report = await asyncio.to_thread(self.look)
            now = {d["device_path"]: d for d in report["devices"]}
            for path in sorted(before.keys() - now.keys()):
                _say("removed", before[path], form)
            for path in sorted(now.keys()):
                if path not in before:
                    _say("added", now[path], form)
                elif now[path] != before[path]:
                    _say("changed", now[path], form)
            before = now


def _running_stack(settings: Any) -> str | None:
    """The stack file that the control plane of this host has; None where none runs."""
    from vidops.control.client import ControlClient
    from vidops.errors import VidopsError

    try:
        report = ControlClient(settings.layout().control_socket).get("/v1/status", timeout=3.0)
    except VidopsError:
        return None
    return str(report["stack"]["path"]) or None


def _say(event: str, device: Mapping[str, Any], form: str) -> None:
    if form == "table":
        sign = {"added": "+", "removed": "-"}.get(event, "~")
        owner = f"  camera {device['camera']}" if device["camera"] else ""
        serial = f"  serial {device['serial']}" if device["serial"] else ""
        click.echo(f"{sign} {device['device_path']}  {device['device_name'] or '?'}{serial}  {device['role']}{owner}")
    else:
        click.echo(json.dumps({"event": event, "device": device}, ensure_ascii=False))


def _formats(found: list[str]) -> str:
    """The first few: some devices have dozens, and `-o json` has all."""
    more = len(found) - FORMATS_SHOWN
    return " ".join([*found[:FORMATS_SHOWN], *([f"+{more}"] if more > 0 else [])]) or "-"


def show(report: Mapping[str, Any], *, everything: bool) -> None:
    shown = [d for d in report["devices"] if everything or d["role"] in ("camera", "loopback") or d["camera"]]
    if not shown:
        hidden = len(report["devices"])
        click.echo("no camera is plugged in" + (f" ({hidden} other video nodes: --all shows them)" if hidden else ""))
    else:
        output.table(
            ("DEVICE", "CAMERA", "NAME", "DRIVER", "SERIAL", "PORT", "MODES", "ROLE", "SEEN BY"),
            (
                (
                    d["device_path"],
                    d["camera"] or "-",
                    d["device_name"] or "-",
                    d["driver"] or "-",
                    d["serial"] or "-",
                    d["id_path"] or d["bus_info"] or "-",
                    _formats([m["format"] for m in d["modes"]]),
                    d["role"],
                    ",".join(d["scanners"]),
                )
                for d in shown
            ),
        )
    for device in shown:
        path = device["device_path"]
        if not os.access(path, os.R_OK | os.W_OK):
            click.echo(f"{path} may not be opened by this user, who is not in its group: what it can do is not known")
    paths = {d["device_path"] for d in shown}
    for entry in report["entries"]:
        for trouble in entry["trouble"]:
            click.echo(f"{entry['name']}: {trouble}")
        if not entry["matches"]:
            for path, wrong in entry["why_not"].items():
                if path in paths:
                    click.echo(f"{entry['name']}: not {path}: {'; '.join(wrong)}")

"""The reconciler's ports, fulfilled by the runtime."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable

from vidops.resources.layout import Layout
from vidops.resources.resource import JSON, Resource
from vidops.resources.specs import CaptureSpec, Program
from vidops.runtime import gatewayclient
from vidops.runtime.files import read_bounded, write_if_changed
from vidops.runtime.logtail import log_tail
from vidops.runtime.programs import remove_program, write_program
from vidops.runtime.segments import CaptureFiles


class DiskPrograms:
    """`reconcile.host.ProgramFiles`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def write(self, name: str, program: Program, fingerprint: str) -> bool:
        return write_program(self.layout, name, program, fingerprint)

    def remove(self, name: str) -> None:
        remove_program(self.layout, name)


class DiskFiles:
    """`reconcile.host.Files`."""

    def write(self, path: str, text: str) -> bool:
        return write_if_changed(path, text)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class Gateways:
    """`reconcile.host.GatewayControl`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    async def __call__(self, gateway: str, request: JSON) -> JSON:
        return await gatewayclient.request(self.layout, gateway, request)


def last_words(layout: Layout, program: str) -> str:
    """The last line of a program's log; of a JSON line, its `error` or `event`."""
    for text in reversed(log_tail(layout, program, 5, limit=16384)):
        if text.strip():
            try:
                record = json.loads(text)
            except ValueError:
                return text.strip()[:500]
            said = record.get("error") or record.get("event") if isinstance(record, dict) else text
            return str(said)[:500]
    return ""


def upload_report(layout: Layout, name: str) -> JSON:
    """What an upload says of itself; empty where it has not said anything."""
    try:
        report = json.loads(read_bounded(layout.upload_file(name), 65536))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def capture_files(resources: Iterable[Resource]) -> list[CaptureFiles]:
    """What the keeper has to know of the captures among these resources."""
    return [CaptureFiles.of(r.ref.name, r.spec) for r in resources if isinstance(r.spec, CaptureSpec)]

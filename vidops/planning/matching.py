"""Which device is whose, and why the others are not: what `vidops devices` shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from vidops.ports import DeviceFacts
from vidops.resources.catalogue import Catalogue
from vidops.resources.modes import sizes_of
from vidops.resources.resource import JSON, Resource
from vidops.resources.specs import SourceSpec


def devices_report(
    devices: Sequence[DeviceFacts],
    resources: Iterable[Resource] = (),
    stack: Any = None,
    catalogue: Catalogue | None = None,
) -> JSON:
    """`devices`: facts of each, and the `camera` that has it (None: nobody). `entries`: of each entry of the stack file
    that chooses among devices its `cameras`, what they say of it, and `why_not` for every other device, by path."""
    cameras = [r.spec for r in resources if isinstance(r.spec, SourceSpec)]
    owners = {spec.device: spec.camera for spec in cameras if spec.device}
    return {
        "devices": [{**facts(d), "camera": owners.get(d.device_path)} for d in devices],
        "entries": list(_entries(devices, cameras, stack, catalogue)),
    }


def facts(device: DeviceFacts) -> JSON:
    """A device as the API and `vidops devices` tell it."""
    told = asdict(device)
    return {
        **told,
        "capabilities": list(device.capabilities),
        "scanners": list(device.scanners),
        "udev": dict(device.udev),
        "modes": sizes_of(device.modes),
    }


def _entries(
    devices: Sequence[DeviceFacts], cameras: Sequence[SourceSpec], stack: Any, catalogue: Catalogue | None
) -> Iterable[JSON]:
    if stack is None or catalogue is None:
        return
    for name, entry in stack.devices.items():
        kind = catalogue.sources[entry.source]
        if kind.explain is None:
            continue
        reasons = {d.device_path: list(kind.explain(entry, d)) for d in devices}
        meant = {path for path, wrong in reasons.items() if not wrong}
        expanded = kind.expand(entry, devices) if kind.expand is not None else None
        mine = {name} if expanded is None else set(expanded)
        own = [c for c in cameras if c.camera in mine]
        yield {
            "name": name,
            "cameras": {c.camera: c.device for c in own},
            "matches": sorted(meant),
            "trouble": [text for c in own if (text := c.missing or str(c.description.get("ambiguous") or ""))],
            "why_not": {path: wrong for path, wrong in reasons.items() if wrong},
        }

"""Which device an entry means: matchers over what the host shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, model_validator

from vidops.api import DeviceFacts, Options

Usb = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
_EXACT = {
    "driver": "driver",
    "serial": "serial",
    "usb": "usb_id",
    "bus_info": "bus_info",
    "id_path": "id_path",
    "by_id": "path_by_id",
    "by_path": "path_by_path",
}


class Match(Options):
    """All that is given must hold. `name` and udev properties are globs, everything else is compared as it is."""

    driver: str | None = None
    """The kernel driver, for example uvcvideo."""
    name: str | None = None
    """The device's name, as a glob: "Acme*"."""
    serial: str | None = None
    """Its serial number (udev's ID_SERIAL_SHORT)."""
    usb: Usb | None = None
    """USB vendor and product: "046d:0825"."""
    bus_info: str | None = None
    """V4L2's bus_info, for example usb-0000:00:14.0-1."""
    id_path: str | None = None
    """The port it is plugged into (udev's ID_PATH)."""
    by_id: str | None = None
    """Its link below /dev/v4l/by-id, with the path."""
    by_path: str | None = None
    """Its link below /dev/v4l/by-path, with the path."""
    capability: str | None = None
    """What it can do, in V4L2's words: video_capture, streaming, readwrite."""
    udev: dict[str, str] = Field(default_factory=dict)
    """udev properties by name, each a glob."""
    any_of: list[Match] = Field(default_factory=list)
    """At least one of these must hold."""
    all_of: list[Match] = Field(default_factory=list)
    """Every one of these must hold."""
    not_: Match | None = Field(default=None, alias="not")
    """This must not hold."""

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        if not self.model_fields_set:
            raise ValueError("an empty match fits every device: say by what (serial, id_path, name, ...)")
        return self


def why_not(match: Match, device: DeviceFacts) -> list[str]:
    """What of a match does not hold of a device, in words; empty where it is meant."""
    if device.role == "loopback" and not _names_driver(match, device.driver):
        # What vidops itself puts out must not be taken for a camera by a glob over names.
        return ["it is a loopback: only a match that names its driver means it"]
    if device.role not in ("camera", "loopback"):
        return [f"it is no camera: {device.role}"]
    return _wrong(match, device)


def _names_driver(match: Match, driver: str) -> bool:
    return match.driver == driver or any(_names_driver(m, driver) for m in (*match.any_of, *match.all_of))


def _wrong(match: Match, device: DeviceFacts) -> list[str]:
    wrong = []
    for option, fact in _EXACT.items():
        wanted, has = getattr(match, option), getattr(device, fact)
        if wanted is not None and wanted != has:
            wrong.append(f"{option} is {_or_none(has)}, not {wanted}")
    if match.name is not None and not fnmatchcase(device.device_name, match.name):
        wrong.append(f"name {_or_none(device.device_name)} does not fit {match.name}")
    if match.capability is not None and match.capability not in device.capabilities:
        wrong.append(f"it has no capability {match.capability}")
    properties = dict(device.udev)
    for key, glob in match.udev.items():
        if not fnmatchcase(properties.get(key, ""), glob):
            wrong.append(f"{key} {_or_none(properties.get(key, ''))} does not fit {glob}")
    if match.any_of and all(reasons := [_wrong(m, device) for m in match.any_of]):
        wrong.append(f"none of any_of: {'; or '.join(', '.join(r) for r in reasons)}")
    for part in match.all_of:
        wrong += _wrong(part, device)
    if match.not_ is not None and not _wrong(match.not_, device):
        wrong.append(f"it is what it must not be: {describe(match.not_)}")
    return list(dict.fromkeys(wrong))


def matches(match: Match, device: DeviceFacts) -> bool:
    """Whether a device is meant."""
    return not why_not(match, device)


def identity(device: DeviceFacts) -> tuple[str, str, str]:
    """What devices are ordered by: port, then serial. The number of /dev/videoN is last: it changes at a boot."""
    return device.id_path, device.serial, device.device_path


def find(match: Match, devices: Sequence[DeviceFacts]) -> list[DeviceFacts]:
    """Every device that is meant, in the order of identity."""
    return sorted((d for d in devices if matches(match, d)), key=identity)


def describe(match: Match) -> str:
    """`serial SN0001, driver uvcvideo`."""
    said = [
        f"{name} {value}" for name in ("serial", "name", "driver", *_EXACT) if (value := getattr(match, name, None))
    ]
    if match.capability is not None:
        said.append(f"capability {match.capability}")
    said += [f"{key}={glob}" for key, glob in match.udev.items()]
    for word, parts in (("any of", match.any_of), ("all of", match.all_of)):
        if parts:
            said.append(f"{word} ({'; '.join(map(describe, parts))})")
    if match.not_ is not None:
        said.append(f"not ({describe(match.not_)})")
    return ", ".join(dict.fromkeys(said))


def _or_none(text: str) -> str:
    return text or "not known"

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


def matches(match: Match, device: DeviceFacts) -> bool:
    """Whether a device is meant."""
    for option, fact in _EXACT.items():
        wanted = getattr(match, option)
        if wanted is not None and wanted != getattr(device, fact):
            return False
    if match.name is not None and not fnmatchcase(device.device_name, match.name):
        return False
    properties = dict(device.udev)
    return (
        all(fnmatchcase(properties.get(key, ""), glob) for key, glob in match.udev.items())
        and (not match.any_of or any(matches(m, device) for m in match.any_of))
        and all(matches(m, device) for m in match.all_of)
        and (match.not_ is None or not matches(match.not_, device))
    )


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
    said += [f"{key}={glob}" for key, glob in match.udev.items()]
    for word, parts in (("any of", match.any_of), ("all of", match.all_of)):
        if parts:
            said.append(f"{word} ({'; '.join(map(describe, parts))})")
    if match.not_ is not None:
        said.append(f"not ({describe(match.not_)})")
    return ", ".join(dict.fromkeys(said))

"""Why a source of this host's devices ended, and what can be done about it."""

from __future__ import annotations

import contextlib
import grp
import os

from vidops.hub.words import reason_of
from vidops.runtime.procfs import open_files, processes

_REASONS = (
    ("Busy", r"Device or resource busy"),
    ("UsbBandwidth", r"No space left on device"),
    ("PermissionDenied", r"Permission denied"),
    ("DeviceGone", r"No such device"),
)


def device_reason(said: str) -> str:
    """Busy, UsbBandwidth, PermissionDenied, DeviceGone, by what FFmpeg said; empty where it is none."""
    return reason_of(said, _REASONS)


def advice(reason: str, device: str) -> str:
    """What is behind a reason on this host. Blocking: it looks through /proc."""
    match reason:
        case "Busy":
            found = holders(device)
            if found:
                return f"{device} is in use by {', '.join(f'process {pid} ({name})' for pid, name in found)}"
            return f"{device} is in use by another program; which one cannot be seen from here"
        case "UsbBandwidth":
            return (
                "the USB bus has no bandwidth left for this mode: "
                "take a smaller or compressed one, or plug the camera into another controller"
            )
        case "PermissionDenied":
            return f"{device} may be opened by group {_group(device)}, which this process is not in"
    return ""


def holders(device: str) -> list[tuple[int, str]]:
    """Processes that have a device open, as far as they can be seen: PID and name."""
    try:
        status = os.stat(device)
    except OSError:
        return []
    node = (status.st_dev, status.st_ino)
    return [(pid, _name(pid)) for pid in sorted(processes()) if node in (open_files(pid) or ())]


def _name(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read(64).strip()
    return "?"


def _group(device: str) -> str:
    with contextlib.suppress(OSError, KeyError):
        return grp.getgrgid(os.stat(device).st_gid).gr_name
    return "?"

"""What types cannot say: that names exist, once each, that graphs and chains end, that every route can be reached.

Works on a stack from which entries with other mistakes may have been left out; the document still has their names.
"""

from __future__ import annotations

import fnmatch

from vidops.errors import Problem
from vidops.stack.check_chains import check_chains
from vidops.stack.check_gateways import check_gateways
from vidops.stack.check_loopbacks import check_loopbacks
from vidops.stack.nodes import DocPath, shown
from vidops.stack.references import references
from vidops.stack.subject import Subject


def check(subject: Subject) -> list[Problem]:
    """Every problem that shows once the entries are typed."""
    cameras = check_loopbacks(subject)
    _check_references(subject, cameras)
    _check_globs(subject, cameras)
    check_chains(subject)
    check_gateways(subject)
    return subject.problems


def _check_references(subject: Subject, cameras: dict[str, DocPath]) -> None:
    for path, reference, name in references(subject.stack):
        if reference.section == "devices":
            # An output of a node with other mistakes may be the one that is meant.
            if name not in cameras and not _may_be_absent(subject, name):
                subject.unknown(path, "camera", name, cameras)
        elif reference.section == "tenants":
            if name not in subject.names("tenants"):
                subject.unknown(path, "directory of tenants", name, subject.names("tenants"))
        elif name not in subject.names("middleware") and name not in subject.catalogue.middleware:
            subject.unknown(path, "chain", name, [*subject.names("middleware"), *subject.catalogue.middleware])


def _check_globs(subject: Subject, cameras: dict[str, DocPath]) -> None:
    """Globs over cameras that fit none; where a device stands for whatever is plugged in, one may still come."""
    if any(getattr(device, "each", None) for device in subject.stack.devices.values()):
        return
    for name, capture in subject.stack.captures.items():
        if capture.devices and not fnmatch.filter(cameras, capture.devices):
            known = ", ".join(sorted(cameras)[:10])
            subject.problem(
                ("captures", name, "devices"),
                f"no camera has a name like `{shown(capture.devices)}`",
                f"there are {known}" if known else "there is no camera",
            )


def _may_be_absent(subject: Subject, camera: str) -> bool:
    """Whether a loopback node with other mistakes looks as if it put out a camera of that name."""
    for graph in subject.names("loopbacks"):
        for name in subject.names("loopbacks", graph, "nodes"):
            if not subject.whole("loopbacks", graph, "nodes", name):
                values = subject.values("loopbacks", graph, "nodes", name)
                if camera in (f"{graph}-{name}", *values):
                    return True
    return False

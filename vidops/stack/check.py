"""What types cannot say: that names exist, once each, that graphs and chains end, that every route can be reached.

Works on a stack from which entries with other mistakes may have been left out; the document still has their names.
"""

from __future__ import annotations

from vidops.errors import Problem
from vidops.stack.check_chains import check_chains
from vidops.stack.check_gateways import check_gateways
from vidops.stack.check_loopbacks import check_loopbacks
from vidops.stack.nodes import DocPath
from vidops.stack.references import references
from vidops.stack.subject import Subject


def check(subject: Subject) -> list[Problem]:
    """Every problem that shows once the entries are typed."""
    cameras = check_loopbacks(subject)
    _check_references(subject, cameras)
    check_chains(subject)
    check_gateways(subject)
    return subject.problems


def _check_references(subject: Subject, cameras: dict[str, DocPath]) -> None:
    for path, reference, name in references(subject.stack):
        if reference.section == "devices":
            # An output of a node with other mistakes may be the one that is meant.
            if name not in cameras and not _may_be_absent(subject, name):
                subject.unknown(path, "camera", name, cameras)
        elif name not in subject.names("middleware") and name not in subject.catalogue.middleware:
            subject.unknown(path, "chain", name, [*subject.names("middleware"), *subject.catalogue.middleware])


def _may_be_absent(subject: Subject, camera: str) -> bool:
    """Whether a loopback node with other mistakes looks as if it put out a camera of that name."""
    for graph in subject.names("loopbacks"):
        for name in subject.names("loopbacks", graph, "nodes"):
            if not subject.whole("loopbacks", graph, "nodes", name):
                values = subject.values("loopbacks", graph, "nodes", name)
                if camera in (f"{graph}-{name}", *values):
                    return True
    return False

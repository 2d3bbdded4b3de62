"""Loopback graphs: every sink leads back to a camera, and every camera has a name of its own."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from vidops.resources.catalogue import NodeType
from vidops.stack.nodes import DocPath, shown
from vidops.stack.scalars import NAME_PATTERN
from vidops.stack.subject import Subject, around, circles


def check_loopbacks(subject: Subject) -> dict[str, DocPath]:
    """Problems into `subject`. Returns every camera that the stack makes, with its place."""
    cameras: dict[str, DocPath] = {name: ("devices", name) for name in subject.names("devices")}
    sources: dict[str, str] = {}
    for graph, entry in subject.stack.loopbacks.items():
        kinds = {name: subject.catalogue.nodes[node.type] for name, node in entry.nodes.items()}
        _check_graph(subject, graph, entry.nodes, kinds)
        for name, kind in kinds.items():
            if kind.camera is None:
                continue
            at = ("loopbacks", graph, "nodes", name)
            camera = subject.guarded(at, partial(kind.camera, entry.nodes[name])) or f"{graph}-{name}"
            if _add_camera(subject, cameras, camera, at) and (source := _source(entry.nodes, kinds, name)):
                sources[camera] = source
    for circle in circles(sources, lambda camera: [sources[camera]] if camera in sources else []):
        subject.problem(cameras[circle[0]], f"cameras that are made from one another: {around(circle, '<-')}")
    return cameras


def _add_camera(subject: Subject, cameras: dict[str, DocPath], camera: str, at: DocPath) -> bool:
    if not re.fullmatch(NAME_PATTERN, camera):
        message = f"`{shown(camera)}` cannot be the name of a camera"
        subject.problem(at, message, "give it a `name`: lower-case letters, digits, - and _, at most 48")
        return False
    if camera in cameras:
        known = subject.where(cameras[camera])
        subject.problem(at, f"puts out a camera `{camera}`, which exists already", f"at {known}")
        return False
    cameras[camera] = at
    return True


def _check_graph(subject: Subject, graph: str, nodes: dict[str, Any], kinds: dict[str, NodeType]) -> None:
    at = ("loopbacks", graph, "nodes")
    for name, kind in kinds.items():
        source = getattr(nodes[name], "in_", None)
        if kind.role == "camera":
            continue
        if source is None:
            subject.problem((*at, name), f"a {kind.role} needs `in`", "the node that it takes frames from")
        elif source not in nodes:
            if source in subject.names(*at):
                continue  # it has mistakes of its own
            subject.unknown(
                (*at, name, "in"), "node", source, [n for n in nodes if kinds[n].role != "sink" and n != name]
            )
        elif kinds[source].role == "sink":
            subject.problem((*at, name, "in"), f"`{source}` is a sink: no frames come out of it")
    for circle in circles(nodes, lambda name: _inlet(nodes, name)):
        if any(kinds[name].role == "sink" for name in circle):
            continue  # said above
        subject.problem((*at, circle[0], "in"), f"goes round in a circle: {around(circle, '<-')}")
    if subject.whole(*at) and not any(kind.role == "sink" for kind in kinds.values()):
        known = sorted(name for name, kind in subject.catalogue.nodes.items() if kind.role == "sink")
        subject.problem(at[:2], "the graph has no sink, so nothing would come of it", f"add one of {', '.join(known)}")


def _inlet(nodes: dict[str, Any], name: str) -> list[str]:
    source = getattr(nodes[name], "in_", None)
    return [source] if source in nodes else []


def _source(nodes: dict[str, Any], kinds: dict[str, NodeType], sink: str) -> str | None:
    """The camera that feeds a sink; None where the way there is broken."""
    name = sink
    for _ in nodes:
        if kinds[name].role == "camera":
            return getattr(nodes[name], "device", None)
        ahead = _inlet(nodes, name)
        if not ahead:
            return None
        name = ahead[0]
    return None

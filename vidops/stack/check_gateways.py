"""Gateways: each has routes and an address of its own, and every route can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from vidops.resources.layout import split_mode
from vidops.stack.model import Method
from vidops.stack.nodes import DocPath
from vidops.stack.subject import Subject

MAX_ROUTES = 1000
Taken = dict[tuple[str, str], DocPath]
"""Who listens, by host and port; the first of a family of addresses also by the family and the port."""
ANY = frozenset([*get_args(Method), "any other"])


def check_gateways(subject: Subject) -> None:
    taken: Taken = {}
    for name, gateway in subject.stack.gateways.items():
        at: DocPath = ("gateways", name)
        if not gateway.routes and subject.whole(*at, "routes"):
            subject.problem(at, "the gateway has no routes", "a route is {path: /**, handler: {type: ...}}")
        if len(gateway.routes) > MAX_ROUTES:
            subject.problem((*at, "routes"), f"more than {MAX_ROUTES} routes")
        else:
            _check_reach(subject, (*at, "routes"), gateway.routes)
        _check_binds(subject, at, gateway.bind, taken)
        if gateway.tls is not None and gateway.tls.http3 and not any(map(_has_port, _several(gateway.bind))):
            hint = "unix sockets and passed ones have no UDP port: add a host:port, or take http3 away"
            subject.problem((*at, "tls", "http3"), "no address of `bind` can be served by HTTP/3", hint)


def _several(bind: str | list[str]) -> list[str]:
    return bind if isinstance(bind, list) else [bind]


def _has_port(address: str) -> bool:
    return not address.startswith(("unix:", "fd:"))


def _check_binds(subject: Subject, at: DocPath, bind: str | list[str], taken: Taken) -> None:
    several = isinstance(bind, list)
    for i, address in enumerate(_several(bind)):
        path: DocPath = (*at, "bind", i) if several else (*at, "bind")
        host, _, port = address.rpartition(":")
        port = split_mode(port)[0] if host in ("unix", "fd") else str(int(port))
        if port == "0":
            continue  # any free port: a different one each time
        other = _overlapping(host.lower(), port, taken)
        if other is not None:
            subject.problem(
                path, f"{address} is taken already", f"by {'.'.join(map(str, other[:2]))}, {subject.where(other)}"
            )
        taken.setdefault((host.lower(), port), path)
        taken.setdefault((_family(host), port), path)


def _family(host: str) -> str:
    return "any IPv6" if host.startswith("[") else "any IPv4"


def _overlapping(host: str, port: str, taken: Taken) -> DocPath | None:
    """Where an address is taken that leaves no room for this one: the same, or all addresses of its family."""
    if (host, port) in taken:
        return taken[host, port]
    if host in ("unix", "fd"):
        return None
    everywhere = "[::]" if host.startswith("[") else "0.0.0.0"  # noqa: S104 - compared, not bound
    if (everywhere, port) in taken:
        return taken[everywhere, port]
    return taken.get((_family(host), port)) if host == everywhere else None


@dataclass(slots=True)
class _Branch:
    """Routes by the segments of their patterns: those that end here, and those with `**` here."""

    below: dict[str, _Branch] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    rests: list[int] = field(default_factory=list)


def _check_reach(subject: Subject, at: DocPath, routes: Sequence[Any]) -> None:
    """A route whose every request is answered by earlier ones is a mistake in their order."""
    tree = _Branch()
    for i, route in enumerate(routes):
        methods = _methods(route)
        earlier = sorted(_covering(tree, route.path))
        if covers := [n for n in earlier if methods & _methods(routes[n])]:
            answered = frozenset[str]().union(*(_methods(routes[n]) for n in covers))
            if methods <= answered:
                hint = f"{routes[covers[0]].path} comes first and answers all of it: put this one before it"
                subject.problem((*at, i), f"the route {route.path} can never be reached", hint)
        _plant(tree, route.path, i)


def _methods(route: Any) -> frozenset[str]:
    """What a route answers; one with GET answers HEAD, too, and one without methods answers any."""
    return frozenset([*route.methods, *(["HEAD"] if "GET" in route.methods else [])]) if route.methods else ANY


def _plant(tree: _Branch, path: str, number: int) -> None:
    segments = path[1:].split("/")
    for segment in segments[:-1] if segments[-1] == "**" else segments:
        tree = tree.below.setdefault(segment, _Branch())
    (tree.rests if segments[-1] == "**" else tree.ends).append(number)


def _covering(tree: _Branch, path: str) -> Iterator[int]:
    """The routes whose pattern fits everything that `path` fits."""
    segments = path[1:].split("/")
    rest = segments[-1] == "**"
    branches = [tree]
    for segment in segments[:-1] if rest else segments:
        for branch in branches:
            yield from branch.rests
        names = (segment, "*") if segment not in ("", "*") else (segment,)
        branches = [branch.below[name] for branch in branches for name in names if name in branch.below]
    for branch in branches:
        yield from branch.rests
        if not rest:
            yield from branch.ends

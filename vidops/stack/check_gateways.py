"""Gateways: each has routes and an address of its own, and every route can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vidops.stack.nodes import DocPath
from vidops.stack.subject import Subject

MAX_ROUTES = 1000
ALL = frozenset({"*"})
"""The methods of a route that names none."""


def check_gateways(subject: Subject) -> None:
    taken: dict[tuple[str, str], DocPath] = {}
    for name, gateway in subject.stack.gateways.items():
        at: DocPath = ("gateways", name)
        if not gateway.routes and subject.whole(*at, "routes"):
            subject.problem(at, "the gateway has no routes", "a route is {path: /**, handler: {type: ...}}")
        if len(gateway.routes) > MAX_ROUTES:
            subject.problem((*at, "routes"), f"more than {MAX_ROUTES} routes")
        _check_binds(subject, at, gateway.bind, taken)
        _check_reach(subject, (*at, "routes"), gateway.routes)


def _check_binds(subject: Subject, at: DocPath, bind: str | list[str], taken: dict[tuple[str, str], DocPath]) -> None:
    several = isinstance(bind, list)
    for i, address in enumerate(bind if isinstance(bind, list) else [bind]):
        path: DocPath = (*at, "bind", i) if several else (*at, "bind")
        host, _, port = address.rpartition(":")
        if port == "0":
            continue  # any free port: a different one each time
        other = _overlapping(host.lower(), port, taken)
        if other is not None:
            subject.problem(
                path, f"{address} is taken already", f"by {'.'.join(map(str, other[:2]))}, {subject.where(other)}"
            )
        taken.setdefault((host.lower(), port), path)


def _overlapping(host: str, port: str, taken: dict[tuple[str, str], DocPath]) -> DocPath | None:
    """Where an address is taken that leaves no room for this one: the same, or all addresses of its family."""
    if (host, port) in taken:
        return taken[host, port]
    if host == "unix":
        return None
    everywhere = "[::]" if host.startswith("[") else "0.0.0.0"  # noqa: S104 - compared, not bound
    if (everywhere, port) in taken:
        return taken[everywhere, port]
    if host == everywhere:
        family = [
            path
            for (h, p), path in taken.items()
            if p == port and h != "unix" and h.startswith("[") == host.startswith("[")
        ]
        return family[0] if family else None
    return None


def _check_reach(subject: Subject, at: DocPath, routes: list[Any]) -> None:
    """A route whose every request is answered by earlier ones is a mistake in their order."""
    earlier: dict[str, list[tuple[frozenset[str], int]]] = {}
    for i, route in enumerate(routes):
        methods = frozenset(route.methods) or ALL
        covering = [known for pattern in _covering(route.path) for known in earlier.get(pattern, ())]
        seen = frozenset[str]().union(*(m for m, _ in covering))
        if seen >= ALL or methods <= seen:
            first = next(i for m, i in covering if m == ALL or m & methods)
            hint = f"routes[{first}], {routes[first].path}, comes first: put this one before it"
            subject.problem((*at, i), f"the route {route.path} can never be reached", hint)
        earlier.setdefault(route.path, []).append((methods, i))


def _covering(path: str) -> Iterator[str]:
    """The patterns that fit everything that `path` fits: `/a/b` is covered by itself, /a/*, /a/**, /a/b/**, /**."""
    yield path
    segments = path.split("/")[1:]
    last = segments[-1]
    if last == "**":
        segments.pop()
    elif last not in ("*", ""):
        yield "/".join(["", *segments[:-1], "*"])
        yield "/".join(["", *segments, "**"])
    for n in range(len(segments)):
        yield "/".join(["", *segments[:n], "**"])

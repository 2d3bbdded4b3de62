"""Chains: every link exists, and a chain that is spelled out has an end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from vidops.resources.catalogue import Options
from vidops.stack.nodes import DocPath, Node, shown
from vidops.stack.shapes import fields_of
from vidops.stack.subject import Subject, around, circles

MAX_LINKS = 200
"""Of a chain with its named chains spelled out: ten chains that each name the one before ten times are too many."""
MAX_TOTAL = 100_000
"""Links of all routes together: each of them is an object in a gateway."""


def check_chains(subject: Subject) -> None:
    chains = subject.stack.middleware
    # Names are looked up as written: a gateway with another mistake may have these, too.
    whole = replace(subject, root=subject.document)
    names = dict.fromkeys(subject.names("middleware"))
    for path, node in _written(subject.document):
        for i, link in enumerate(node.value if isinstance(node.value, list) else ()):
            if isinstance(link.value, str) and not subject.gone((*path, i)):
                _check_name(whole, (*path, i), link.value, names)
    found = circles(chains, lambda name: [link for link in chains[name] if _is_chain(link, chains)])
    for circle in found:
        way = around(circle, "->")
        hint = "it is called like a middleware type" if circle[0] in subject.catalogue.middleware else ""
        subject.problem(("middleware", circle[0]), f"the chain contains itself: {way}", hint)
    if not found:
        _check_lengths(subject, chains)
        _check_order(subject, chains)


def _written(root: Node) -> Iterator[tuple[DocPath, Node]]:
    """What stands in the document where chains are."""
    for name, chain in _children(root.child("middleware")):
        yield ("middleware", name), chain
    for name, gateway in _children(root.child("gateways")):
        if own := gateway.child("chain"):
            yield ("gateways", name, "chain"), own
        routes = gateway.child("routes")
        for i, route in enumerate(routes.value if routes and isinstance(routes.value, list) else ()):
            if inner := route.child("chain"):
                yield ("gateways", name, "routes", i, "chain"), inner


def _children(node: Node | None) -> Iterable[tuple[str, Node]]:
    return node.value.items() if node and isinstance(node.value, dict) else ()


def _check_lengths(subject: Subject, chains: dict[str, Sequence[Any]]) -> None:
    known: dict[str, int] = {}
    total = 0
    longest = 0
    for path, chain in _all(subject.stack):
        length = _length(chain, chains, known)
        if length > MAX_LINKS:
            subject.problem(path, f"{length} links with its named chains spelled out", f"at most {MAX_LINKS}")
        # A gateway's own chain is in front of each of its routes.
        own = path[0] == "gateways" and len(path) == 3
        total += length * (len(subject.stack.gateways[path[1]].routes) if own else 1)
        longest = max(longest, length)
    if total > MAX_TOTAL and longest <= MAX_LINKS:
        subject.problem(("gateways",), f"{total} links in the chains of all routes", f"at most {MAX_TOTAL}")


def _length(chain: Sequence[Any], chains: dict[str, Sequence[Any]], known: dict[str, int]) -> int:
    """Links once spelled out."""
    for name in _inside_out(chain, chains, known):
        known[name] = sum(known[link] if _is_chain(link, chains) else 1 for link in chains[name])
    return sum(known[link] if _is_chain(link, chains) else 1 for link in chain)


def _inside_out(chain: Sequence[Any], chains: dict[str, Sequence[Any]], known: Collection[str]) -> Iterator[str]:
    """The named chains in a chain that are not `known`, each after those in it; each is to be known when the next is
    asked for. Without recursion: a chain of 10,000 chains is no reason to fail."""
    waiting = [link for link in chain if _is_chain(link, chains)]
    while waiting:
        name = waiting[-1]
        if name in known:
            waiting.pop()
            continue
        inner = [link for link in chains[name] if _is_chain(link, chains)]
        if unknown := [link for link in inner if link not in known]:
            waiting.extend(unknown)
            continue
        waiting.pop()
        yield name


@dataclass(frozen=True, slots=True)
class _Order:
    """The first types of a chain that keep answers and that identify; the place of the first link that identifies
    behind one that keeps, with both."""

    keeps: str = ""
    identifies: str = ""
    mistake: tuple[int, str, str] | None = None


def _check_order(subject: Subject, chains: dict[str, Sequence[Any]]) -> None:
    """What gives answers to others stands behind what finds out who asks, which would else not be asked."""
    known: dict[str, _Order] = {}
    in_front: dict[str, str] = {}
    for path, chain in _all(subject.stack):
        for name in _inside_out(chain, chains, known):
            known[name] = _order(subject, chains[name], known, "")
        # A gateway's own chain is in front of each of its routes.
        order = _order(subject, chain, known, in_front.get(str(path[1]), "") if len(path) > 3 else "")
        if path[0] == "gateways" and len(path) == 3:
            in_front[str(path[1])] = order.keeps
        if order.mistake is not None:
            place, keeps, identifies = order.mistake
            what = f"`{keeps}` comes before `{identifies}`, and gives what it keeps to whoever asks"
            subject.problem((*path, place), what, f"put {keeps} behind {identifies}")


def _order(subject: Subject, chain: Sequence[Any], known: dict[str, _Order], keeps: str) -> _Order:
    identifies, mistake = "", None
    for place, link in enumerate(chain):
        order = known.get(link) if isinstance(link, str) else None
        if order is None:
            name = link if isinstance(link, str) else link.type
            kind = subject.catalogue.middleware.get(name)
            order = _Order(name if kind and kind.keeps else "", name if kind and kind.identifies else "")
        if keeps and order.identifies and mistake is None:
            mistake = (place, keeps, order.identifies)
        keeps, identifies = keeps or order.keeps, identifies or order.identifies
    return _Order(keeps, identifies, mistake)


def _is_chain(link: Any, chains: dict[str, Sequence[Any]]) -> bool:
    return isinstance(link, str) and link in chains


def _all(stack: Any) -> Iterator[tuple[DocPath, Sequence[Any]]]:
    """Every chain of a stack, with its place."""
    for name, chain in stack.middleware.items():
        yield ("middleware", name), chain
    for name, gateway in stack.gateways.items():
        yield ("gateways", name, "chain"), gateway.chain
        for i, route in enumerate(gateway.routes):
            yield ("gateways", name, "routes", i, "chain"), route.chain


def _check_name(subject: Subject, path: DocPath, link: str, names: Collection[str]) -> None:
    """A link that is text: a named chain, or a middleware type whose options all have defaults."""
    if link in names:
        return
    kind = subject.catalogue.middleware.get(link)
    if kind is None:
        broken = [f"plugin {p.name} did not load: {shown(p.error, 200)}" for p in subject.catalogue.broken]
        subject.unknown(path, "chain or middleware type", link, [*names, *subject.catalogue.middleware], *broken)
        return
    if subject.guarded(path, partial(_all_default, kind.options)) is False:
        needed = ", ".join(f"{name}: ..." for name, info in fields_of(kind.options).items() if info.is_required())
        subject.problem(path, f"`{shown(link)}` needs options", f"write {{type: {link}, {needed or '...'}}}")


def _all_default(options: type[Options]) -> bool:
    try:
        options()
    except ValidationError:
        return False
    return True

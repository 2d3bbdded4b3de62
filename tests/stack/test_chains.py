"""Chains: what keeps answers stands behind what finds out who asks, a plugin's own types included."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.stack.support import load_text
from vidops.api import HandlerType, MiddlewareType, Options
from vidops.errors import StackError
from vidops.resources.catalogue import Catalogue


def build(*_: Any) -> Any:
    raise AssertionError("nothing is built when a stack is loaded")


CATALOGUE = Catalogue.of([
    MiddlewareType("keeps", Options, build, keeps=True),
    MiddlewareType("asks", Options, build, identifies=True),
    MiddlewareType("plain", Options, build),
    HandlerType("end", Options, build),
])  # fmt: skip


def problems(gateway: str, route: str, **named: str) -> list[str]:
    chains = "".join(f"  {name}: {chain}\n" for name, chain in named.items())
    text = f"""\
apiVersion: vidops/v1
middleware: {"{}" if not named else ""}
{chains}
gateways:
  a: {{bind: "127.0.0.1:80", chain: {gateway}, routes: [{{path: /, chain: {route}, handler: {{type: end}}}}]}}
"""
    try:
        load_text(text, catalogue=CATALOGUE)
    except StackError as error:
        return [line.split(": ", 1)[1] for line in str(error).split("\n")]
    return []


@pytest.mark.parametrize(
    ("gateway", "route", "named", "where"),
    [
        ("[asks, plain]", "[plain, keeps, plain]", {}, []),
        ("[asks, keeps]", "[keeps]", {}, []),
        ("[keeps, plain, asks]", "[asks]", {}, ["gateways.a.chain[2]", "gateways.a.routes[0].chain[0]"]),
        ("[asks, keeps]", "[plain, asks]", {}, ["gateways.a.routes[0].chain[1]"]),
        ("[]", "[one, two]", {"one": "[plain, keeps]", "two": "[asks, keeps]"}, ["gateways.a.routes[0].chain[1]"]),
        ("[]", "[two, one]", {"one": "[plain, keeps]", "two": "[asks]"}, []),
        ("[]", "[one]", {"one": "[two, {type: asks}]", "two": "[{type: keeps}]"}, ["middleware.one[1]"]),
    ],
)
def test_who_asks_is_found_out_first(gateway: str, route: str, named: dict[str, str], where: list[str]) -> None:
    found = problems(gateway, route, **named)
    assert [problem.partition(": ")[0] for problem in found] == where
    for problem in found:
        assert problem.endswith(
            "`keeps` comes before `asks`, and gives what it keeps to whoever asks (put keeps behind asks)"
        )


def test_chains_in_chains_in_chains_take_no_time() -> None:
    named = {"c0": "[keeps]", **{f"c{n}": f"[c{n - 1}]" for n in range(1, 5000)}}
    begun = time.monotonic()
    (problem,) = problems("[c4999]", "[asks]", **named)
    assert problem.startswith("gateways.a.routes[0].chain[0]: ")
    assert time.monotonic() - begun < 20
